import pytest
from hypothesis import given
from hypothesis import strategies as st

from membench.search.predict import NOISE_BYTES, predict
from membench.units import GIB, MIB


def test_one_peak_is_proportional():
    assert predict([(100, GIB)], 4 * GIB, quadratic=False) == pytest.approx(400)
    assert predict([(100, GIB)], 4 * GIB, quadratic=True) == pytest.approx(200)


@given(fixed=st.integers(0, 8 * GIB), slope=st.integers(MIB, GIB), near=st.integers(1, 20), far=st.integers(21, 60))
def test_a_line_is_never_extrapolated_too_far(fixed, slope, near, far):
    peaks = [(x, fixed + slope * x) for x in (near, far)]
    budget = fixed + slope * 100

    guess = predict(peaks, budget, quadratic=False)

    assert far < guess <= 100 + 1e-6
    # What it stays short of comes from the noise alone.
    assert guess >= far + (100 - far) * slope / (slope + NOISE_BYTES / (far - near)) - 1e-6


@given(st.integers(0, 8 * GIB), st.integers(0, 64 * MIB), st.integers(1024, MIB))
def test_three_peaks_make_the_parabola(fixed, linear, square):
    peaks = [(x, fixed + linear * x + square * x * x) for x in (16, 48, 112)]
    budget = fixed + linear * 200 + square * 200 * 200

    assert predict(peaks, budget, quadratic=True) == pytest.approx(200, rel=1e-6)


@given(st.integers(0, 8 * GIB), st.integers(0, 64 * MIB), st.integers(1024, MIB))
def test_two_peaks_of_a_parabola_are_not_extrapolated_too_far(fixed, linear, square):
    peaks = [(x, fixed + linear * x + square * x * x) for x in (16, 48)]
    budget = fixed + linear * 200 + square * 200 * 200

    assert 48 < predict(peaks, budget, quadratic=True) <= 200 + 1e-6


@given(
    st.dictionaries(st.integers(1, 10**6), st.integers(1, 16 * GIB), min_size=1, max_size=5),
    st.booleans(),
    st.integers(0, 16 * GIB),
)
def test_any_peaks_give_a_finite_guess_beyond_the_last(peaks, quadratic, room):
    last = max(peaks)

    guess = predict(list(peaks.items()), peaks[last] + room, quadratic=quadratic)

    assert last * (1 - 1e-9) <= guess < float("inf")
