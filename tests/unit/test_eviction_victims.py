"""Who is evicted of a ranking: the first that are enough, the young only when the others are not."""

from hypothesis import given
from hypothesis import strategies as st

from tools.catalog.tenant import TenantId
from tools.eviction.victims import choose_victims

ranked_models = st.lists(st.tuples(st.integers(1, 50), st.booleans()), max_size=12)


@given(models=ranked_models, excess=st.integers(-10, 300))
def test_the_first_that_are_enough_go_and_the_young_only_after_all_the_others(
    models: list[tuple[int, bool]], excess: int
) -> None:
    ranked = [TenantId(f"t{number:02}") for number in range(len(models))]
    size = {name: size for name, (size, _) in zip(ranked, models, strict=True)}
    young = {name for name, (_, is_young) in zip(ranked, models, strict=True) if is_young}
    victims = choose_victims(ranked, excess, size.__getitem__, young.__contains__)

    total = sum(size[victim] for victim in victims)
    assert total >= excess or set(victims) == set(ranked)
    assert not victims or total - size[victims[-1]] < excess, "one too many"
    old_first = [name for name in ranked if name not in young] + [name for name in ranked if name in young]
    assert list(victims) == old_first[: len(victims)]
