from pathlib import Path

import numpy as np
import pytest
import xgboost

from loadtests.fleets import fleet_key, fraud_specs, fraud_tenants, newcomer_spec, real_data_specs, train_fleet
from loadtests.fraud_data import FEATURES, payments
from loadtests.models import ModelSpec
from loadtests.synthetic import SyntheticSpec
from tools.catalog.tenant import TenantId, tenant_id
from tools.compile.entry import compile_entry
from tools.compile.request import Request

SMALL = ModelSpec(TenantId("m1"), trees=10, depth=3, seed=5, rows=1_000)


def test_there_are_seventy_merchants_and_everybody_has_a_name_of_his_own() -> None:
    names = [spec.tenant for spec in [*fraud_specs(fraud_tenants()), *real_data_specs(), newcomer_spec()]]
    assert len(fraud_specs(fraud_tenants())) == 70
    assert len(set(names)) == len(names)
    assert [tenant_id(name) for name in names] == names


def test_one_payment_in_a_hundred_is_fraud_and_some_fields_are_unknown() -> None:
    history = payments(merchant_seed=3, rows=10_000)
    assert history.features.shape == (10_000, len(FEATURES))
    assert history.fraud.mean() == pytest.approx(0.01)
    unknown = np.isnan(history.features).mean(axis=0)
    assert unknown[FEATURES.index("amount")] == 0
    assert 0.15 < unknown[FEATURES.index("device_age_days")] < 0.25


def test_a_fraud_model_learns_something() -> None:
    spec = ModelSpec(TenantId("m1"), trees=80, depth=5, seed=5, rows=6_000)
    booster = xgboost.Booster(model_file=bytearray(spec.make().ubj))
    unseen = payments(spec.seed, 6_000, sample_seed=9)
    scores = booster.inplace_predict(unseen.features)
    riskiest = np.argsort(scores)[-120:]
    assert unseen.fraud[riskiest].mean() > 20 * unseen.fraud.mean()


def test_a_reference_holds_what_the_saved_model_answers() -> None:
    trained = SMALL.make()
    booster = xgboost.Booster(model_file=bytearray(trained.ubj))
    np.testing.assert_allclose(
        trained.reference.answers[:, 1], booster.inplace_predict(trained.reference.rows), atol=1e-7
    )
    assert trained.reference.is_probability


@pytest.mark.parametrize("spec", real_data_specs(), ids=lambda spec: spec.tenant)
def test_real_data_answers_have_the_shape_that_triton_gives(spec: ModelSpec) -> None:
    answers = spec.make().reference.answers
    assert answers.shape[1:] == {"breast-cancer": (2,), "wine": (3,), "digits": (10,), "diabetes": ()}[spec.source]


def test_a_trained_fleet_is_kept_and_another_spec_is_another_fleet(tmp_path: Path) -> None:
    ready: list[TenantId] = []
    fleet = train_fleet([SMALL], tmp_path, ready.append)
    written = fleet.model(SMALL.tenant).stat().st_mtime_ns
    again = train_fleet([SMALL], tmp_path, ready.append)
    assert ready == [SMALL.tenant, SMALL.tenant]
    assert again.model(SMALL.tenant).stat().st_mtime_ns == written
    np.testing.assert_array_equal(fleet.references[SMALL.tenant].answers, again.references[SMALL.tenant].answers)
    other = ModelSpec(SMALL.tenant, trees=11, depth=3, seed=5, rows=1_000)
    assert fleet_key([other]) != fleet_key([SMALL])


def test_a_model_whose_training_was_cut_off_is_trained_again(tmp_path: Path) -> None:
    fleet = train_fleet([SMALL], tmp_path)
    next(fleet.models.parent.glob("references/*.npz")).unlink()
    fleet.model(SMALL.tenant).write_bytes(b"half a mod")
    assert train_fleet([SMALL], tmp_path).model(SMALL.tenant).read_bytes() == SMALL.make().ubj


@pytest.mark.parametrize("wanted", [185_000, 1_000_000])
def test_a_synthetic_model_has_about_the_checkpoint_size_asked_for(wanted: int, tmp_path: Path) -> None:
    path = tmp_path / "m1.ubj"
    path.write_bytes(SyntheticSpec(TenantId("m1"), wanted, seed=0).make().ubj)
    compile_entry(Request(path, TenantId("m1"), version=1, release="24.10"), tmp_path / "m1")
    assert (tmp_path / "m1/1/checkpoint.tl").stat().st_size == pytest.approx(wanted, rel=0.05)


def test_a_synthetic_model_answers_differently_to_different_rows() -> None:
    answers = SyntheticSpec(TenantId("m1"), 100_000, seed=0).make().reference.answers
    assert len(np.unique(answers[:, 1])) > 150
    assert np.all((answers > 0) & (answers < 1))
