"""Reads a Python code base without importing it: files, syntax trees, facts, links between modules, types of expressions.

What stands on it (`audit`, `migrate`) is only as good as its silence. So every step may answer "unknown", and unknown
absorbs: a name bound twice to different things is unknown, a call of something unknown is unknown, two modules that could
both be meant are unknown. A verdict is given on what is left.

    files ─→ sources ─→ facts of each module ─→ index (links) ─→ inference in one module

The legacy trackers, the facades and runstate itself are known in the same way as everything else: their stubs and sources
are read, so there is no list of their methods here that could drift.
"""

from ._faces import known_faces as known_faces
from ._facts import ClassFacts as ClassFacts
from ._facts import ModuleFacts as ModuleFacts
from ._facts import import_facts as import_facts
from ._facts import module_facts as module_facts
from ._files import Unreadable as Unreadable
from ._files import dotted_names as dotted_names
from ._files import python_files as python_files
from ._files import too_deep as too_deep
from ._index import Index as Index
from ._kinds import Kinds as Kinds
from ._refs import alternatives as alternatives
from ._refs import dotted as dotted
from ._scopes import Scope as Scope
from ._source import Source as Source
from ._source import read_source as read_source
from ._stubs import StubsMissingError as StubsMissingError
from ._stubs import stubs_folder as stubs_folder
from ._subject import Expected as Expected
from ._subject import Subject as Subject
from ._types import Class as Class
from ._types import ClassRef as ClassRef
from ._types import Function as Function
from ._types import Instance as Instance
from ._types import Items as Items
from ._types import Mapping as Mapping
from ._types import Module as Module
from ._types import Text as Text
from ._types import Type as Type
from ._vocabulary import LEGACY as LEGACY
from ._vocabulary import is_competing_name as is_competing_name
from ._vocabulary import is_state_like as is_state_like
from ._vocabulary import is_tracker_like as is_tracker_like
from ._vocabulary import mapping as mapping

__all__ = [
    "LEGACY",
    "Class",
    "ClassFacts",
    "ClassRef",
    "Expected",
    "Function",
    "Index",
    "Instance",
    "Items",
    "Kinds",
    "Mapping",
    "Module",
    "ModuleFacts",
    "Scope",
    "Source",
    "StubsMissingError",
    "Subject",
    "Text",
    "Type",
    "Unreadable",
    "alternatives",
    "dotted",
    "dotted_names",
    "import_facts",
    "is_competing_name",
    "is_state_like",
    "is_tracker_like",
    "known_faces",
    "mapping",
    "module_facts",
    "python_files",
    "read_source",
    "stubs_folder",
    "too_deep",
]
