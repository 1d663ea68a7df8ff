"""Which faults affect which requests."""

from __future__ import annotations

import pytest

from linq_typing.sandbox._faults import Answer, Faults, Loss, Plan, Slowness


def statuses(faults: Faults, endpoint: str, count: int) -> list[int | None]:
    plans = [faults.pick(endpoint, "c") for _ in range(count)]  # type: ignore[arg-type]
    return [p.outcome.status if p and isinstance(p.outcome, Answer) else None for p in plans]


def test_no_fault_is_no_plan() -> None:
    assert Faults().pick("start", "c") is None


def test_times_is_used_up_and_the_next_fault_follows() -> None:
    faults = Faults()
    faults.add(Answer(500), "start", times=2)
    faults.add(Answer(429), "start", times=1)
    assert statuses(faults, "start", 4) == [500, 500, 429, None]


@pytest.mark.parametrize(
    ("endpoint", "affected"),
    [("start", {"start"}), ("typing", {"start", "stop"}), ("*", {"start", "stop", "send", "get"})],
)
def test_fault_affects_only_its_endpoints(endpoint: str, affected: set[str]) -> None:
    faults = Faults()
    faults.add(Answer(500), endpoint)
    assert {e for e in ("start", "stop", "send", "get") if faults.pick(e, "c")} == affected  # type: ignore[arg-type]


def test_fault_of_one_chat_leaves_others_alone() -> None:
    faults = Faults()
    faults.add(Answer(500), "*", chat="c", times=1)
    assert faults.pick("start", "d") is None
    assert faults.pick("start", None) is None
    assert faults.pick("start", "c") is not None


def test_rate_affects_that_share_and_the_seed_decides_which() -> None:
    def run(seed: int) -> list[int | None]:
        faults = Faults(seed)
        faults.add(Answer(500), "start", rate=0.25)
        return statuses(faults, "start", 2000)

    assert 400 < run(1).count(500) < 600
    assert run(1) == run(1) != run(2)


def test_request_spared_by_the_rate_uses_nothing_up() -> None:
    faults = Faults()
    faults.add(Answer(500), "start", rate=0.1, times=5)
    assert statuses(faults, "start", 1000).count(500) == 5


def test_slowness_goes_with_another_fault() -> None:
    faults = Faults()
    faults.add(Slowness(before=1, after=2), "start")
    faults.add(Loss(), "start", times=1)
    assert faults.pick("start", "c") == Plan(Loss(), 1, 2)
    assert faults.pick("start", "c") == Plan(None, 1, 2)


def test_delay_may_be_a_range() -> None:
    faults = Faults()
    faults.add(Slowness(before=(1, 2)), "start")
    drawn = {plan.before for _ in range(20) if (plan := faults.pick("start", "c"))}
    assert len(drawn) > 1
    assert all(1 <= delay <= 2 for delay in drawn)


def test_clear_removes_all() -> None:
    faults = Faults()
    faults.add(Answer(500), "*")
    faults.clear()
    assert faults.pick("start", "c") is None


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"endpoint": "strat"}, "strat"),
        ({"rate": 1.5}, "1.5"),
        ({"rate": float("nan")}, "nan"),
        ({"times": 0}, "0"),
    ],
)
def test_bad_rule_is_rejected(wrong: dict[str, object], named: str) -> None:
    arguments: dict[str, object] = {"endpoint": "start", **wrong}
    with pytest.raises(ValueError, match=named):
        Faults().add(Answer(500), **arguments)  # type: ignore[arg-type]


def test_bad_fault_is_rejected() -> None:
    for make in (
        lambda: Answer(99),
        lambda: Answer(600),
        lambda: Answer(500, effect_after=-1),
        lambda: Loss(effect_after=float("nan")),
        lambda: Slowness(before=-1),
        lambda: Slowness(after=(2, 1)),
    ):
        with pytest.raises(ValueError, match="must be"):
            make()
