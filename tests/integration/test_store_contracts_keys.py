"""What every store of API keys must do: one suite over memory, SQLite and PostgreSQL."""

import pytest

from storage.access import Keys
from storage.errors import (
    ApiKeyNotFound,
    Conflict,
    InvalidInput,
    KeyExpired,
    KeyMalformed,
    KeyRevoked,
    KeyUnknown,
)
from storage.key_records import ApiKey, NewSecret, Scope, check, split

DAY_S = 86400.0


def entered(keys: Keys, text: str) -> ApiKey:
    """What auth does with a key that came in a header."""
    given = split(text)
    return check(given, keys.stored(given.prefix))


def test_a_key_is_known_by_its_whole_secret_alone(keys: Keys) -> None:
    key, secret = keys.create("acme", "laptop", Scope.SUBMIT)
    assert entered(keys, secret.text) == key
    assert (key.tenant_id, key.name, key.scope, key.expires_at) == ("acme", "laptop", Scope.SUBMIT, None)
    _, other = keys.create("acme", "another", Scope.ADMIN)
    for wrong in (
        f"editq_{secret.prefix}_{other.secret}",
        f"editq_{other.prefix}_{secret.secret}",
        f"editq_{'a' * 12}_{secret.secret}",
    ):
        with pytest.raises(KeyUnknown) as caught:
            entered(keys, wrong)
        assert secret.secret not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "editq_", "swordfish", "editq_abc_def", "editq_" + "a" * 12 + "_" + "b" * 42, "é" * 61]
)
def test_what_is_of_another_shape_is_no_key_and_is_not_repeated(text: str) -> None:
    with pytest.raises(KeyMalformed) as caught:
        split(text)
    assert text in ("", "editq_") or text not in str(caught.value.as_dict())


def test_secrets_are_not_kept_and_do_not_show(keys: Keys) -> None:
    key, secret = keys.create("acme", "laptop", Scope.READ)
    stored = keys.stored(key.prefix)
    assert stored is not None
    assert secret.secret not in repr((key, stored, secret))
    assert len(secret.secret) == 43
    assert secret.text.startswith("editq_")


def test_a_key_expires(keys: Keys) -> None:
    _, secret = keys.create("acme", "short", Scope.READ, lasts_s=-1.0)
    with pytest.raises(KeyExpired):
        entered(keys, secret.text)
    lasting, text = keys.create("acme", "long", Scope.READ, lasts_s=DAY_S)
    assert lasting.expires_at == pytest.approx(lasting.created_at + DAY_S, abs=1)
    assert entered(keys, text.text) == lasting


def test_a_revoked_key_is_refused_at_once_and_stays_so(keys: Keys) -> None:
    key, secret = keys.create("acme", "laptop", Scope.READ)
    revoked = keys.revoke("acme", key.id)
    assert revoked.revoked_at is not None
    with pytest.raises(KeyRevoked):
        entered(keys, secret.text)
    assert keys.revoke("acme", key.id) == revoked
    with pytest.raises(Conflict):
        keys.rotate("acme", key.id, grace_s=60)


def test_rotating_gives_a_new_secret_while_the_old_one_holds_for_its_grace(keys: Keys) -> None:
    key, old = keys.create("acme", "laptop", Scope.SUBMIT, lasts_s=DAY_S)
    fresh, new = keys.rotate("acme", key.id, grace_s=60)
    assert (fresh.name, fresh.scope, fresh.tenant_id) == (key.name, key.scope, key.tenant_id)
    assert fresh.expires_at == pytest.approx(fresh.created_at + DAY_S, abs=1)
    assert entered(keys, new.text) == fresh
    aged = entered(keys, old.text)
    assert aged.id == key.id
    assert aged.expires_at == pytest.approx(fresh.created_at + 60, abs=5)
    at_once, _ = keys.rotate("acme", fresh.id, grace_s=0)
    assert at_once.id != fresh.id
    with pytest.raises(KeyExpired):
        entered(keys, new.text)


def test_a_grace_does_not_make_a_key_last_longer(keys: Keys) -> None:
    key, _ = keys.create("acme", "laptop", Scope.SUBMIT, lasts_s=30)
    keys.rotate("acme", key.id, grace_s=DAY_S)
    assert keys.get("acme", key.id).expires_at == key.expires_at


def test_the_time_of_the_last_use_is_coarse(keys: Keys) -> None:
    key, _ = keys.create("acme", "laptop", Scope.READ)
    assert key.last_used_at is None
    keys.used(key)
    first = keys.get("acme", key.id).last_used_at
    assert first is not None
    keys.used(key)
    assert keys.get("acme", key.id).last_used_at == first


def test_lists_are_the_tenants_own_newest_first_by_prefix(keys: Keys) -> None:
    made = [keys.create("acme", f"key {number}", Scope.READ)[0] for number in range(3)]
    keys.create("somebody", "theirs", Scope.ADMIN)
    page = keys.list("acme", limit=2)
    assert [key.id for key in page.items] == [made[2].id, made[1].id]
    assert [key.id for key in keys.list("acme", cursor=page.next_cursor).items] == [made[0].id]
    assert [key.id for key in keys.list("acme", prefix=made[1].prefix).items] == [made[1].id]
    assert keys.list("acme", prefix="%").items == ()


def test_another_tenants_key_is_not_there(keys: Keys) -> None:
    key, _ = keys.create("acme", "laptop", Scope.ADMIN)
    for act in (keys.get, keys.revoke, lambda tenant, key_id: keys.rotate(tenant, key_id, grace_s=0)):
        with pytest.raises(ApiKeyNotFound):
            act("somebody", key.id)
    assert keys.get("acme", key.id) == key


def test_whether_there_is_any_key_counts_those_alone_that_hold(keys: Keys) -> None:
    assert keys.any() is False
    key, _ = keys.create("acme", "laptop", Scope.ADMIN)
    keys.create("acme", "gone", Scope.ADMIN, lasts_s=-1)
    assert keys.any() is True
    keys.revoke("acme", key.id)
    assert keys.any() is False


@pytest.mark.parametrize("tenant", ["", "system", "A", "a/b", "..", "x" * 65, "a b", "ä"])
def test_a_tenants_name_is_plain(keys: Keys, tenant: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        keys.create(tenant, "laptop", Scope.ADMIN)
    assert caught.value.field == "tenant"


def test_each_scope_allows_what_those_before_it_do() -> None:
    allowed = {scope: [needed for needed in Scope if scope.allows(needed)] for scope in Scope}
    assert allowed == {
        Scope.READ: [Scope.READ],
        Scope.SUBMIT: [Scope.READ, Scope.SUBMIT],
        Scope.ADMIN: [Scope.READ, Scope.SUBMIT, Scope.ADMIN],
    }


def test_no_two_secrets_are_alike(keys: Keys) -> None:
    made: list[NewSecret] = [keys.create("acme", "n", Scope.READ)[1] for _ in range(5)]
    assert len({secret.prefix for secret in made}) == len({secret.secret for secret in made}) == 5
