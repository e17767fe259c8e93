from collections import Counter
from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from loadtests.fleets import fraud_tenants
from loadtests.traffic import MOST_ROWS, Share, calls, fraud_shares
from tools.catalog.tenant import TenantId

TENANTS = fraud_tenants()
ROWS = dict.fromkeys([*TENANTS.whales, *TENANTS.middle, *TENANTS.occasional], 50)


def test_the_fraud_mix_is_80_19_and_1_per_cent() -> None:
    counts = Counter(call.tenant for call in islice(calls(fraud_shares(TENANTS), ROWS, seed=7), 50_000))
    share = {
        name: sum(counts[tenant] for tenant in getattr(TENANTS, name)) / 50_000
        for name in ("whales", "middle", "occasional")
    }
    assert abs(share["whales"] - 0.80) < 0.01
    assert abs(share["middle"] - 0.19) < 0.01
    assert abs(share["occasional"] - 0.01) < 0.003
    assert set(counts) == set(ROWS), "everybody calls now and then"


def test_tenants_of_one_share_call_equally_often() -> None:
    counts = Counter(call.tenant for call in islice(calls(fraud_shares(TENANTS), ROWS, seed=1), 50_000))
    whales = [counts[tenant] for tenant in TENANTS.whales]
    assert max(whales) < 1.1 * min(whales)


def test_the_same_seed_gives_the_same_calls_and_another_seed_others() -> None:
    def first(seed: int) -> list[object]:
        return list(islice(calls(fraud_shares(TENANTS), ROWS, seed), 3_000))

    assert first(3) == first(3)
    assert first(3) != first(4)


def test_a_share_without_tenants_gets_no_calls() -> None:
    lonely = TenantId("lonely")
    stream = calls([Share([], 99.0), Share([lonely], 1.0)], {lonely: 10}, seed=0)
    assert {call.tenant for call in islice(stream, 100)} == {lonely}


@given(seed=st.integers(0, 2**32), rows=st.integers(MOST_ROWS, 300))
def test_a_call_never_asks_about_rows_that_are_not_there(seed: int, rows: int) -> None:
    tenant = TenantId("m1")
    for call in islice(calls([Share([tenant], 1.0)], {tenant: rows}, seed), 200):
        assert 1 <= call.rows <= MOST_ROWS
        assert call.first >= 0
        assert call.first + call.rows <= rows
