"""How long jobs of a kind take here, and so how many of them one claim takes."""

AT_ONCE_S = 0.1  # nobody waits longer than this for the end of a job that was done before others of its claim
MOST = 16
SHORT_S = 0.5  # what is over so soon is not watched


class Pace:
    """Learned from the jobs that this process ran: large ones are claimed one by one, as the first of a kind
    is."""

    def __init__(self) -> None:
        self._each_s: dict[str, float] = {}

    def took(self, kind: str, each_s: float) -> None:
        """So long, claim and end included, for each of some jobs."""
        self._each_s[kind] = (self._each_s.get(kind, each_s) + each_s) / 2

    def short(self, kind: str) -> bool:
        return self._each_s.get(kind, SHORT_S) < SHORT_S

    def most(self, kind: str) -> int:
        each_s = self._each_s.get(kind)
        return 1 if not each_s else max(1, min(MOST, int(AT_ONCE_S / each_s)))
