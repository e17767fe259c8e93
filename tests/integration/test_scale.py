"""Many tenants on S3, in short form: pushed from a folder, pushed again, and each served cold."""

from pathlib import Path

from loadtests.scale import prove


def test_every_tenant_of_a_folder_is_served_from_s3_within_the_budgets_and_nothing_is_listed(tmp_path: Path) -> None:
    scale = prove(30, tmp_path, lambda _: None)
    assert scale.broken == [], scale
    assert scale.from_disk.calls > 0
    assert scale.evictions > 0
