"""Each module of tests lists its bugs; what is done with them is the same for all."""

import pytest

from .kit import Group


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    groups: tuple[Group, ...] = metafunc.module.GROUPS
    if "mutant" in metafunc.fixturenames:
        mutants = [pytest.param(group, mutant, id=mutant.bug) for group in groups for mutant in group.mutants]
        metafunc.parametrize(("group", "mutant"), mutants)
    else:
        metafunc.parametrize("group", [pytest.param(group, id=group.module) for group in groups])
