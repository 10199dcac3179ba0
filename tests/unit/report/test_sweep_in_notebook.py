"""What a notebook shows of a sweep."""

from fake_sweep import fake_sweep, hostile_sweep


def test_a_sweep_is_its_searches_and_claims() -> None:
    result = fake_sweep()
    page = result._repr_html_()
    assert page.count("<tr>") > len(result.all_searches) + len(result.plan.claims)
    for search in result.all_searches:
        assert search.largest_fit is not None
        assert f">{search.edge[0]}</td>" in page
    assert ">reproduced</td>" in page


def test_names_of_others_are_text() -> None:
    assert "<script" not in hostile_sweep()._repr_html_()
