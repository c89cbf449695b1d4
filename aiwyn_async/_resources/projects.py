"""Projects: https://api.doc.aiwyn.ai/bundle/projects/getprojectspaginated, getprojectbyid.md (tag Projects).

Both paths are inferred. The list's answer is not documented, so its envelope is found in it. No search is
documented.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Unpack

from aiwyn_async._pagination.pager import Pager
from aiwyn_async._resources.collection import Collection
from aiwyn_async._resources.endpoint import Endpoint
from aiwyn_async._resources.options import ListOptions
from aiwyn_async.models.projects import Project, ProjectDetail

__all__ = ["Projects"]

ENDPOINT: Final = Endpoint(
    resource="projects", list_path="/projects", get_path="/project", undocumented=frozenset({"list", "get"})
)


class Projects(Collection[Project, Project, ProjectDetail]):
    """``aiwyn.projects``. The list is ordered by its latest change, so it moves while it is read."""

    endpoint = ENDPOINT
    row_type = Project
    hit_type = Project
    detail_type = ProjectDetail

    def list(
        self, *, extra: Mapping[str, object] | None = None, **options: Unpack[ListOptions]
    ) -> Pager[Project]:
        """Projects, those changed last first, as a ``Pager`` of ``Project`` rows.

        Args:
            extra: more fields of the body, of which the documentation shows none.
            **options: see ``ListOptions``.

        Raises:
            ConfigurationError: an argument is wrong; nothing was sent.
        """
        return self._list(extra or {}, options)
