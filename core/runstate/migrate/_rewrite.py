"""Writes a plan into a file's text with LibCST, so that everything else stays as it is, comments and blanks included."""

from __future__ import annotations

from collections.abc import Mapping

import libcst as cst
from libcst.codemod import CodemodContext
from libcst.codemod.visitors import AddImportsVisitor
from libcst.metadata import CodeRange, MetadataWrapper, PositionProvider

from ._legacy import STATE
from ._model import ImportedName, ImportFrom, Plan, Span


class RewriteError(Exception):
    """A place of the plan was not found in the tree, so nothing of the file is changed."""


def rewritten(data: bytes, plan: Plan) -> bytes:
    """Return a file's new content, in its own encoding and with its own line ends.

    Raises:
        RewriteError: The plan does not fit the file.
    """
    try:
        module = cst.parse_module(data)
    except (cst.ParserSyntaxError, RecursionError) as error:
        raise RewriteError(f"LibCST cannot parse it: {str(error).splitlines()[0]}") from None
    if _encoded(module, data) != data:
        raise RewriteError("LibCST does not give it back as it is")
    wrapper = MetadataWrapper(module, unsafe_skip_copy=True)
    rewriter = _Rewriter(plan, wrapper.resolve(PositionProvider))
    try:
        changed = wrapper.module.visit(rewriter)
    except cst.CSTValidationError as error:
        raise RewriteError(f"LibCST refuses what it would become: {error}") from None
    if rewriter.done != plan.changes:
        raise RewriteError(f"{plan.changes - rewriter.done} of {plan.changes} places were not found by LibCST")
    if plan.needs_import:
        context = CodemodContext()
        AddImportsVisitor.add_needed_import(context, "runstate", STATE)
        changed = AddImportsVisitor(context).transform_module(changed)
    return _encoded(changed, data)


def _encoded(module: cst.Module, before: bytes) -> bytes:
    mark = b"\xef\xbb\xbf"
    after = module.code.encode("utf-8" if module.encoding.startswith("utf-8") else module.encoding)
    if before.endswith(b"\r") and not after.endswith(b"\r"):
        after += b"\r"  # LibCST takes it for no line end when it is the last
    return mark + after.removeprefix(mark) if before.startswith(mark) else after


class _Rewriter(cst.CSTTransformer):
    """Changes what a plan names. Children are changed before their parents, so what is in an expression is changed too."""

    def __init__(self, plan: Plan, places: Mapping[cst.CSTNode, CodeRange]) -> None:
        super().__init__()
        self._plan = plan
        self._places = places
        self.done = 0

    def _span(self, node: cst.CSTNode) -> Span:
        place = self._places[node]
        return Span(place.start.line, place.start.column, place.end.line, place.end.column)

    # -- expressions --------------------------------------------------------------------------------------------------

    def _replaced(self, original: cst.BaseExpression, node: cst.BaseExpression) -> cst.BaseExpression:
        code = self._plan.replaced.get(self._span(original))
        if code is None:
            return node
        self.done += 1
        return _in_parentheses_of(node, cst.parse_expression(code))

    def leave_Dict(self, original_node: cst.Dict, updated_node: cst.Dict) -> cst.BaseExpression:  # noqa: N802
        """Put the state that it stands for in its place."""
        return self._replaced(original_node, updated_node)

    def leave_SimpleString(  # noqa: N802
        self, original_node: cst.SimpleString, updated_node: cst.SimpleString
    ) -> cst.BaseExpression:
        """Put the state that it spells in its place."""
        return self._replaced(original_node, updated_node)

    def leave_FormattedString(  # noqa: N802
        self, original_node: cst.FormattedString, updated_node: cst.FormattedString
    ) -> cst.BaseExpression:
        """Put the state that it spells in its place."""
        return self._replaced(original_node, updated_node)

    def leave_ConcatenatedString(  # noqa: N802
        self, original_node: cst.ConcatenatedString, updated_node: cst.ConcatenatedString
    ) -> cst.BaseExpression:
        """Put the state that it spells in its place."""
        return self._replaced(original_node, updated_node)

    def leave_Subscript(  # noqa: N802
        self, original_node: cst.Subscript, updated_node: cst.Subscript
    ) -> cst.BaseExpression:
        """Put the state in the place of `ExecutionState["SUCCESS"]`."""
        return self._replaced(original_node, updated_node)

    def leave_Attribute(  # noqa: N802
        self, original_node: cst.Attribute, updated_node: cst.Attribute
    ) -> cst.BaseExpression:
        """Take `.value` away, or give a member its new name."""
        if self._span(original_node) in self._plan.stripped:
            self.done += 1
            return _in_parentheses_of(updated_node, updated_node.value)
        return self._replaced(original_node, updated_node)

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.BaseExpression:  # noqa: N802
        """Call `update_execution_state`, or put the state in the place of `ExecutionState("SUCCESS")`."""
        state = self._plan.calls.get(self._span(original_node))
        if state is not None:
            self.done += 1
            return _update(updated_node, state)
        return self._replaced(original_node, updated_node)

    def leave_Comparison(  # noqa: N802
        self, original_node: cst.Comparison, updated_node: cst.Comparison
    ) -> cst.BaseExpression:
        """Compare by identity."""
        if self._span(original_node) not in self._plan.identities:
            return updated_node
        self.done += 1
        return _identity(updated_node)

    # -- imports ------------------------------------------------------------------------------------------------------

    def leave_SimpleStatementLine(  # noqa: N802
        self, original_node: cst.SimpleStatementLine, updated_node: cst.SimpleStatementLine
    ) -> cst.BaseStatement | cst.FlattenSentinel[cst.BaseStatement] | cst.RemovalSentinel:
        """Write the imports that take the place of one."""
        line = updated_node
        written = self._plan.imports.get(self._span(original_node).line)
        if written is None:
            return line
        if len(line.body) != 1 or not isinstance(statement := line.body[0], cst.ImportFrom | cst.Import):
            raise RewriteError("an import shares its line with other statements")
        self.done += 1
        if not written:
            return cst.RemoveFromParent()
        lines = [
            line.with_changes(
                body=[_import(statement, one, alone=len(written) == 1)],
                leading_lines=line.leading_lines if not number else (),
                trailing_whitespace=(
                    line.trailing_whitespace
                    if number == len(written) - 1
                    else _without_comment(line.trailing_whitespace)
                ),
            )
            for number, one in enumerate(written)
        ]
        return cst.FlattenSentinel(lines)


def _in_parentheses_of(node: cst.BaseExpression, inner: cst.BaseExpression) -> cst.BaseExpression:
    return inner.with_changes(lpar=[*node.lpar, *inner.lpar], rpar=[*inner.rpar, *node.rpar])


def _identity(node: cst.Comparison) -> cst.Comparison:
    target = node.comparisons[0]
    operator = target.operator
    space = cst.SimpleWhitespace(" ")
    if isinstance(operator, cst.Equal):
        before, after = (operator.whitespace_before, operator.whitespace_after)
        new: cst.BaseCompOp = cst.Is(
            before if not _is_empty(before) else space, after if not _is_empty(after) else space
        )
    elif isinstance(operator, cst.NotEqual):
        before, after = (operator.whitespace_before, operator.whitespace_after)
        new = cst.IsNot(
            before if not _is_empty(before) else space,
            cst.SimpleWhitespace(" "),
            after if not _is_empty(after) else space,
        )
    else:
        raise RewriteError("a comparison is none of equality")
    return node.with_changes(comparisons=[target.with_changes(operator=new)])


def _is_empty(space: cst.BaseParenthesizableWhitespace) -> bool:
    return isinstance(space, cst.SimpleWhitespace) and not space.value


def _update(node: cst.Call, state: str) -> cst.Call:
    """`t.complete_execution(id, r)` becomes `t.update_execution_state(id, ExecutionState.COMPLETED, result=r)`."""
    if not isinstance(node.func, cst.Attribute):
        raise RewriteError("a call is none of a method")
    second = "result" if node.func.attr.value == "complete_execution" else "error"
    comma = cst.Comma(whitespace_after=cst.SimpleWhitespace(" "))
    member = cst.parse_expression(state)
    equal = cst.AssignEqual(cst.SimpleWhitespace(""), cst.SimpleWhitespace(""))
    arguments = list(node.args)
    if len(arguments) > 1 and arguments[1].keyword is None:
        arguments[1] = arguments[1].with_changes(keyword=cst.Name(second), equal=equal)
    first = arguments[0]
    by_name = first.keyword is not None
    added = cst.Arg(
        member, keyword=cst.Name("state") if by_name else None, equal=equal if by_name else cst.MaybeSentinel.DEFAULT
    )
    arguments[:1] = [first.with_changes(comma=comma), added.with_changes(comma=first.comma)]
    if len(arguments) > 2:
        arguments[1] = arguments[1].with_changes(comma=first.comma)
    return node.with_changes(func=node.func.with_changes(attr=cst.Name("update_execution_state")), args=arguments)


def _import(statement: cst.ImportFrom | cst.Import, written: ImportFrom, *, alone: bool) -> cst.ImportFrom | cst.Import:
    if isinstance(statement, cst.Import):
        name = statement.names[0]
        return statement.with_changes(names=[name.with_changes(name=_dotted(written.module))])
    level = len(written.module) - len(written.module.lstrip("."))
    inside = written.module[level:]
    module = _dotted(inside) if inside else None
    dots = [cst.Dot()] * level
    names: Mapping[ImportedName, cst.ImportAlias] = {}
    if not isinstance(statement.names, cst.ImportStar):
        names = {_imported(one): one for one in statement.names}
        if alone and set(names) == set(written.names):
            return statement.with_changes(module=module, relative=dots)
        kept = [names.get(one) or _alias(one) for one in written.names]
        parts = [one.with_changes(comma=cst.MaybeSentinel.DEFAULT) for one in kept]
        return cst.ImportFrom(module=module, names=parts, relative=dots)
    return statement.with_changes(module=module, relative=dots)


def _imported(alias: cst.ImportAlias) -> ImportedName:
    return ImportedName(alias.evaluated_name, alias.evaluated_alias)


def _alias(one: ImportedName) -> cst.ImportAlias:
    return cst.ImportAlias(cst.Name(one.name), cst.AsName(cst.Name(one.alias)) if one.alias else None)


def _dotted(name: str) -> cst.Attribute | cst.Name:
    expression = cst.parse_expression(name)
    if not isinstance(expression, cst.Attribute | cst.Name):
        raise RewriteError(f"{name} is no dotted name")
    return expression


def _without_comment(space: cst.TrailingWhitespace) -> cst.TrailingWhitespace:
    return space.with_changes(comment=None, whitespace=cst.SimpleWhitespace(""))
