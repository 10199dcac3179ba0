import msgspec
from made_up import MIB, made_case, made_config, measured

from membench.check import Growth, Source, baseline_of, compare, explained
from membench.check.explain import growth
from membench.check.formats.words import explanation, growth_words
from membench.check.holders import holders_of
from membench.profile import Holder, Moment, Peak


def peak_of(*holders: tuple[str, str, int, int]) -> Peak:
    """A peak from category, module, line and MiB."""
    made = [
        Holder(
            category=category, module=module, line=f"net.py:{line} (forward)" if line else "", bytes=size * MIB, count=1
        )  # type: ignore[arg-type]
        for category, module, line, size in holders
    ]
    categories: dict[str, int] = {}
    modules: dict[str, int] = {}
    for holder in made:
        categories[holder.category] = categories.get(holder.category, 0) + holder.bytes
        modules[holder.module] = modules.get(holder.module, 0) + holder.bytes
    total = sum(holder.bytes for holder in made)
    at = Moment(event=1, phase="backward", step=1, module="a", op="op", line="")
    return Peak(
        allocated_bytes=total,
        reserved_bytes=total,
        requested_bytes=total,
        phase="backward",
        module="a",
        at=at,
        categories=categories,
        kinds=(),
        modules=modules,
        holders=tuple(made),
        largest=(),
        segments=(),
    )


BEFORE = peak_of(
    ("activation", "a", 1, 2000), ("parameter", "b", 0, 50), ("activation", "c", 3, 1), ("input", "", 0, 3)
)


def test_a_baseline_keeps_what_is_worth_a_line_and_sums_up_the_rest() -> None:
    holders = holders_of(BEFORE)
    assert holders.at == "backward, a"
    assert holders.categories == {"activation": 2001 * MIB, "parameter": 50 * MIB, "input": 3 * MIB}
    assert holders.modules == {"a": 2000 * MIB, "b": 50 * MIB, "(no module)": 3 * MIB}
    assert holders.others == MIB
    assert sum(holders.modules.values()) + holders.others == BEFORE.allocated_bytes


def test_what_grew_is_named_the_largest_first_with_the_line_that_was_added() -> None:
    now = peak_of(
        ("activation", "a", 1, 2000),
        ("activation", "a", 7, 64),
        ("parameter", "b", 0, 40),
        ("activation", "c", 3, 1),
        ("workspace", "d", 9, 100),
        ("input", "", 0, 4),
    )
    found = growth(holders_of(BEFORE), now)
    assert [(each.kind, each.name, each.grown // MIB) for each in found] == [
        ("category", "workspace", 100),
        ("category", "activation", 64),
        ("category", "input", 1),
        ("module", "d", 100),
        ("module", "a", 64),
        ("module", "(no module)", 1),
    ]
    assert [each.source.line if each.source else None for each in found[3:]] == [9, 7, None]
    assert growth_words(found[4]) == "module a +64.00 MiB, +3.2 % (net.py:7 in forward)"
    assert growth_words(found[3]) == "module d 100.00 MiB, before less than 0.1 % of the peak (net.py:9 in forward)"


def test_a_peak_that_moved_is_told() -> None:
    case = made_case("one")
    entry = baseline_of({"one": measured(case)}, holders={"one": holders_of(BEFORE)})
    result = compare(made_config(case), {"one": measured(case, peak=200 * MIB)}, entry)
    same = explained(result, entry, {"one": BEFORE}).outcomes[0]
    assert (same.growth, same.moved) == ((), "")
    moved = explained(result, entry, {"one": msgspec.structs.replace(BEFORE, module="z")}).outcomes[0]
    assert list(explanation(moved))[-1] == "the peak is now in backward, z; before in backward, a"
    assert explained(result, entry, {"one": None}) == result


def test_only_a_few_modules_are_told() -> None:
    now = peak_of(*(("activation", f"m{number}", number, 100 + number) for number in range(1, 20)))
    modules = [each.name for each in growth(holders_of(BEFORE), now) if each.kind == "module"]
    assert modules == ["m19", "m18", "m17", "m16", "m15"]


def test_growth_is_in_words() -> None:
    at = Source(file="net.py", line=3)
    assert growth_words(Growth(kind="module", name="a", baseline=MIB, current=3 * MIB, source=at)) == (
        "module a +2.00 MiB, +200.0 % (net.py:3)"
    )
