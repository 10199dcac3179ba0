"""What a notebook shows of a profile."""

from made_up_profiles import profile


def test_a_profile_is_its_categories_and_largest_tensors() -> None:
    found = profile(("activation", "<b>net</b>", "net.py:3 (forward)", 2**20))
    page = found._repr_html_()
    assert f"({found.peak.allocated_bytes:,} bytes)" in page
    assert '<td style="text-align:left">activation</td>' in page
    assert "<b>" not in page
