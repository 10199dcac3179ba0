"""What the processes of the plugin call things; imports nothing, for every run of pytest imports it."""

MARK = "cuda_memory"
MARKER_LINE = (
    f"{MARK}(limit=None, device=None, timeout=300, fail_on=None): run the test in a process of its own on a GPU, "
    "emulated or real, and fail it if its peak of reserved memory is above limit, such as 2GiB"
)
BASELINE_OPTIONS = ("membench_baseline", "membench_update")
# Set in the process that runs one marked test: the folder in which it leaves its reports.
FOLDER = "MEMBENCH_PYTEST_CHILD"
# Set there too when the test is run again to find out who holds the peak.
RECORD = "MEMBENCH_PYTEST_RECORD"
DEVICE, REPORTS, SNAPSHOT = "device.json", "reports.jsonl", "snapshot.pickle"
# The report's property with the measurement of the test, as JSON.
PROPERTY = "membench"
