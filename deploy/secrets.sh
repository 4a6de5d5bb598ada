#!/usr/bin/env bash
# Writes what must be secret into FILE, drawn at random, for deploy/compose.yaml and the trial overlay of
# Kubernetes:  deploy/secrets.sh FILE. A file that is there stays as it is.
set -euo pipefail

file=${1:?usage: deploy/secrets.sh FILE}
[ ! -e "$file" ] || { echo "$file is there already"; exit 0; }

draw() { head -c "$1" /dev/urandom | od -An -tx1 | tr -d ' \n'; }

database=$(draw 24) broker=$(draw 24) access=$(draw 10) secret=$(draw 24)
umask 077
cat >"$file" <<END
POSTGRES_PASSWORD=$database
EDITQ_DATABASE_URL=postgresql://editq:$database@postgres:5432/editq
VALKEY_PASSWORD=$broker
EDITQ_REDIS_URL=redis://:$broker@valkey:6379/0
EDITQ_S3_ACCESS_KEY=$access
EDITQ_S3_SECRET_KEY=$secret
RCLONE_AUTH_KEY=$access,$secret
EDITQ_WEBHOOK_SECRET=whsec_$(head -c 32 /dev/urandom | base64)
END
echo "wrote $file"
