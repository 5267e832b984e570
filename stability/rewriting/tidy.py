"""Terms without what changes no float."""

from __future__ import annotations

from stability.rewriting.terms import Term, folded, negated, number, operation, rebuilt


def tidied(term: Term) -> Term:
    """Without what changes no float but the sign of a zero: factors of 1 and -1, signs of signs, doubled terms."""

    def step(t: Term, args: list[Term]) -> Term:
        if t.op in ("mul", "div") and args[1].leaf in (1, -1):
            return args[0] if args[1].leaf == 1 else negated(args[0])
        if t.op == "mul" and args[0].leaf in (1, -1):
            return args[1] if args[0].leaf == 1 else negated(args[1])
        if t.op == "add" and args[0] is args[1]:
            return operation("mul", number(2), args[0])
        if t.op == "add" and args[1].op == "neg":
            return operation("sub", args[0], args[1].args[0])
        if t.op == "add" and args[0].op == "neg":
            return operation("sub", args[1], args[0].args[0])
        if t.op == "sub" and args[1].op == "neg":
            return operation("add", args[0], args[1].args[0])
        if t.op == "neg":
            return negated(args[0])
        if t.op == "sub" and args[0].leaf == 0:
            return negated(args[1])
        if t.op in ("mul", "div") and args[0].op == args[1].op == "neg":
            return operation(t.op, args[0].args[0], args[1].args[0])
        return rebuilt(t, args)

    return folded(term, step)
