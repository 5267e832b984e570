"""Terms from text: `log(1 + a)`, in Python's own notation, with the operations by their names."""

from __future__ import annotations

import ast
from fractions import Fraction

from stability.rewriting.operations import CONSTANTS, OPERATIONS
from stability.rewriting.terms import Term, constant, number, operation, variable

_SIGNS: dict[type, str] = {ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div", ast.Pow: "pow"}
_COMPARED: dict[type, str] = {ast.Lt: "lt", ast.LtE: "le", ast.Gt: "gt", ast.GtE: "ge", ast.NotEq: "ne", ast.Eq: "eq"}


def term(text: str) -> Term:
    """A term from text; a quotient of two numbers is a number.

    **Raises:** `ValueError` for what is no term.
    """
    try:
        return _term(ast.parse(text.strip(), mode="eval").body)
    except SyntaxError:
        raise ValueError(f"{text} is not an expression") from None


def _term(node: ast.expr) -> Term:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return number(Fraction(str(node.value)))
    if isinstance(node, ast.Name):
        return constant(node.id) if node.id in CONSTANTS else variable(node.id)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = _term(node.operand)
        return number(-inner.leaf) if isinstance(inner.leaf, Fraction) else operation("neg", inner)
    if isinstance(node, ast.BinOp) and type(node.op) in _SIGNS:
        left, right = _term(node.left), _term(node.right)
        if isinstance(node.op, ast.Div) and isinstance(left.leaf, Fraction) and isinstance(right.leaf, Fraction):
            return number(left.leaf / right.leaf)
        return operation(_SIGNS[type(node.op)], left, right)
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        return operation(_COMPARED[type(node.ops[0])], _term(node.left), _term(node.comparators[0]))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in OPERATIONS:
        return operation(node.func.id, *map(_term, node.args))
    raise ValueError(f"{ast.unparse(node)} is not a term")
