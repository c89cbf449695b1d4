"""Projects.

https://api.doc.aiwyn.ai/bundle/projects/getprojectspaginated, getprojectbyid.md (Projects).

Both paths are inferred. The list's response is not documented, so its envelope is detected. No search is
documented.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Unpack

from aiwyn_async._pagination.pager import Pager
from aiwyn_async._resources.arguments import extra_fields
from aiwyn_async._resources.collection import Collection
from aiwyn_async._resources.endpoint import Endpoint
from aiwyn_async._resources.options import ListOptions
from aiwyn_async.models.projects import Project, ProjectDetail


class Projects(Collection[Project, Project, ProjectDetail]):
    """``aiwyn.projects``.

    The list is ordered by last change, so it moves while it is read.
    """

    endpoint: Endpoint = Endpoint(
        resource="projects",
        list_path="/projects",
        get_path="/project",
        undocumented=frozenset({"list", "get"}),
    )

    def list(
        self, *, extra: Mapping[str, object] | None = None, **options: Unpack[ListOptions]
    ) -> Pager[Project]:
        """Return projects, most recently changed first, as a ``Pager``.

        Args:
            extra: more fields of the body; the documentation names none.
            **options: see ``ListOptions``.

        Raises:
            ConfigurationError: an argument is invalid; nothing was sent.
        """
        return self._list(extra_fields(extra), options)
