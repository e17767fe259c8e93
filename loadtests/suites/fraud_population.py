"""The fraud workload's tenants: seventy merchants with models of their own."""

from loadtests.fleets import FraudTenants, fraud_specs, fraud_tenants
from loadtests.suites.population import Population


def merchants() -> Population:
    """All seventy."""
    return _population(fraud_tenants())


def few_merchants() -> Population:
    """A whale, six of the middle and two who call now and then."""
    return _population(fraud_tenants(1, 6, 2))


def _population(tenants: FraudTenants) -> Population:
    groups = {"whales": tenants.whales, "middle": tenants.middle, "occasional": tenants.occasional}
    return Population(groups, tuple(fraud_specs(tenants)))
