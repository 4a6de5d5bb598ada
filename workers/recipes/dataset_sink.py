"""Files of a data set as outputs of an attempt; and those that an earlier attempt has put already."""

import json
import tempfile
from collections.abc import Iterator
from typing import BinaryIO

from storage.plain import refs_from_dict, refs_to_dict
from workers.attempt import Attempt


class AttemptSink:
    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt

    def put(self, name: str, data: bytes | BinaryIO, media_type: str) -> None:
        self._attempt.put(name, data, media_type)

    def told(self) -> str:
        """What was put so far, for a checkpoint."""
        return json.dumps(refs_to_dict(self._attempt.outputs))

    def take_over(self, told: str) -> Iterator[str]:
        """Copy what an earlier attempt has put to this attempt's own prefix, one name at a time.

        The collector of garbage holds what lies under an earlier attempt's for needed by nobody.
        Raises OutputNotFound where it has been collected, ObjectCorrupt; nothing is taken over then.
        """
        for name, ref in refs_from_dict(json.loads(told)).items():
            with tempfile.TemporaryFile() as file:
                try:
                    file.writelines(self._attempt.stores.objects.stream(ref))
                except BaseException:
                    self._attempt.outputs.clear()
                    raise
                file.seek(0)
                self._attempt.put(name, file, ref.media_type)
            yield name
