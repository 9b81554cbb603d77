"""Whether a stage reads JSON of the default form, or only what its payload contract says."""

from windrow.payloads.contract import Decoder
from windrow.payloads.stored import contract_of
from windrow.stage import Stage


def reads_default_form(stage: Stage) -> bool:
    """Whether the stage's consumer reads JSON of the default form: without a contract, or with a kind that is it."""
    if not stage.payload_contract:
        return True
    kinds = contract_of(stage.lake, stage.payload_contract).kinds
    return any(kind.decoder is Decoder.WINDROW for kind in kinds)
