"""Charges a card once, whatever dies in between, and gives the money back if the rest of the order fails."""

from pathlib import Path

from provider import Provider


def workflow(input, ctx):
    provider = Provider(Path(ctx.run.folder) / "ledger.db")  # stands for a payment provider somewhere else
    order = ctx.uuid("order")  # the same in every replay

    # The worker may die after the charge and before its record. The step is then tried again, with the same key: the provider
    # finds the charge under it and makes no second one.
    charge = ctx.step(
        "charge",
        lambda attempt: provider.charge(attempt.key, order, input["cents"]),
        compensate=lambda charge: provider.refund(charge["id"]),  # when the run fails or is canceled later on
    )

    # A transfer that knows no keys: when it was cut off, a person looks what became of it, and says so.
    ctx.step("pay-out", lambda: provider.transfer(input["seller"], input["cents"]), on_in_doubt="ask")
    return {"order": order, "charge": charge["id"], "charged": provider.charged(order)}
