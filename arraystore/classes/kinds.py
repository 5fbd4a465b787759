"""Which kind of surface a class has."""

from arraystore.classes.surface import Surface
from layouts.classes import StorageClass


def kind_of(storage_class: StorageClass) -> type[Surface]:
    """A class's own kind of surface, loaded when first asked for."""
    match storage_class:
        case StorageClass.QUARANTINE:
            from arraystore.classes.quarantine import QuarantineSurface

            return QuarantineSurface
        case StorageClass.EXPERIMENTS:
            from arraystore.classes.experiments import ExperimentsSurface

            return ExperimentsSurface
        case StorageClass.EXECUTION_RECORDS:
            from arraystore.classes.execution import ExecutionSurface

            return ExecutionSurface
        case _:
            return Surface
