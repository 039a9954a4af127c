"""A model that runs in an environment of its own: what a plugin's factory returns."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import Field

from dygenept.errors import ChildError, PluginError
from dygenept.machine.folders import default_cache_dir
from dygenept.plugin.isolated import for_child
from dygenept.plugin.isolated.answer import read_answer, read_notes
from dygenept.plugin.isolated.building import build_environment
from dygenept.plugin.isolated.child import STDERR, STDOUT, run_child
from dygenept.plugin.isolated.environment import EnvironmentSpec
from dygenept.plugin.isolated.handover import TASK, Input, Order, write_order
from dygenept.plugin.specs import PluginConfig
from dygenept.types import ChildResources, Condition, Predictions, Progress, Task

DEFAULT_TIMEOUT_S = 6 * 3600.0
# What a child in Python may import; see ``for_child``.
CHILD_MODULE = "dygenept_child.py"
# The environment of a record whose interpreter was given.
GIVEN = "given"
KEPT_AFTER_FAILURE = (TASK, STDOUT, STDERR)


# Makes further files by name from the task and the conditions to predict.
MakesFiles = Callable[[Task, Sequence[Condition]], Mapping[str, bytes]]


class IsolatedConfig(PluginConfig):
    """Base of the options of a model that runs in an environment of its own.

    Attributes:
        timeout_s: Seconds a fold may take.
    """

    timeout_s: float = Field(default=DEFAULT_TIMEOUT_S, gt=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class IsolatedProgram:
    """What a plugin declares.

    Attributes:
        name: The plugin's name, for messages.
        environment: What its environment contains.
        script: A file that is copied into the working folder.
        command: How the script is run, in the working folder; ``{python}`` is the environment's
            interpreter and ``{script}`` the copy. A shell script is ``("sh", "{script}")``.
        inputs: ``cells`` hands over single cells as h5ad (the spec then declares
            ``needs_cells``), ``means`` hands over mean expression as TSV.
        options: Goes into ``task.json``.
        timeout_s: Seconds after which the child is stopped.
        files: Makes further files by name from the task and the conditions to predict.
    """

    name: str
    environment: EnvironmentSpec
    script: Path
    command: tuple[str, ...] = ("{python}", "{script}")
    inputs: tuple[Input, ...] = ("cells",)
    options: Mapping[str, object]
    timeout_s: float = DEFAULT_TIMEOUT_S
    files: MakesFiles | None = None


@dataclass(frozen=True, slots=True)
class Interpreter:
    """What a child runs in: a Python, and the name of its environment for the record."""

    python: Path
    environment: str


class IsolatedModel:
    """Hands files to a child process, which learns and predicts in one go, and reads its answer.

    After ``predict``, ``notes`` is what the child wants recorded and ``child`` what it used.
    """

    def __init__(self, program: IsolatedProgram) -> None:
        self._program = program
        self._task: Task | None = None
        self._interpreter: Interpreter | None = None
        self._given: Path | None = None
        self.notes: tuple[str, ...] = ()
        self.child: ChildResources | None = None

    @classmethod
    def in_python(
        cls,
        script: Path,
        environment: EnvironmentSpec,
        config: IsolatedConfig,
        *,
        inputs: tuple[Input, ...] = ("cells",),
        files: MakesFiles | None = None,
    ) -> Self:
        """Run a script in Python, with a plugin's options in ``task.json``.

        Args:
            script: The script, which is named ``_NAME_child.py`` after its plugin.
            environment: What its environment contains.
            config: The options; all but ``timeout_s`` are the script's.
            inputs: As for ``IsolatedProgram``.
            files: As for ``IsolatedProgram``.
        """
        return cls(
            IsolatedProgram(
                name=script.stem.removeprefix("_").removesuffix("_child"),
                environment=environment,
                script=script,
                inputs=inputs,
                options=config.model_dump(mode="json", exclude={"timeout_s"}),
                timeout_s=config.timeout_s,
                files=files,
            )
        )

    @property
    def script(self) -> Path:
        """The file that the child runs."""
        return self._program.script

    def use_python(self, python: Path) -> None:
        """Run in an interpreter that has the packages, so that no environment is built."""
        self._given = python

    def fit(self, task: Task) -> None:
        """Keep the task and see to the environment; learning is the child's, in ``predict``.

        Raises:
            EnvironmentBuildError: If the environment is not there and cannot be built.
        """
        runtime = task.runtime
        if self._given is not None:
            self._interpreter = Interpreter(self._given, GIVEN)
        else:
            built = build_environment(
                self._program.environment,
                runtime.cache_dir or default_cache_dir(),
                runtime.report,
                name=self._program.name,
            )
            self._interpreter = Interpreter(built.python, built.digest)
        self._task = task

    def predict(self, conditions: Sequence[Condition]) -> Predictions:
        """Run the child and read its predictions.

        After a failure the child's output stays in the task's checkpoint folder.

        Raises:
            ChildError: If the child fails, takes too long, or leaves what it must not.
            PluginError: If it was not fitted.
        """
        task, interpreter = self._task, self._interpreter
        if task is None or interpreter is None:
            raise PluginError(f"{self._program.name} cannot predict before it is fitted; call fit")
        if not conditions:
            return Predictions((), task.means[:0])
        base = task.runtime.checkpoint_dir
        if base is not None:
            # The child works elsewhere, where a relative path leads nowhere.
            base = base.absolute()
            base.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f"{self._program.name}-", dir=base))
        try:
            expression = self._answered(folder, tuple(conditions), task, interpreter)
        except ChildError as error:
            _keep_output_alone(folder)
            where = "" if base is None else f"; its output is in {folder}"
            if base is None:
                shutil.rmtree(folder, ignore_errors=True)
            raise ChildError(f"{self._program.name}: {error}{where}") from error
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        shutil.rmtree(folder, ignore_errors=True)
        return expression

    def _answered(
        self,
        folder: Path,
        conditions: tuple[Condition, ...],
        task: Task,
        interpreter: Interpreter,
    ) -> Predictions:
        program = self._program
        order = Order(
            conditions=conditions,
            options=program.options,
            inputs=program.inputs,
            files={} if program.files is None else program.files(task, conditions),
        )
        write_order(order, task, folder)
        script = Path(shutil.copy(program.script, folder))
        shutil.copy(str(for_child.__file__), folder / CHILD_MODULE)
        words = {"{python}": str(interpreter.python), "{script}": str(script)}
        task.runtime.report(Progress("child", 0, 1, program.name))
        took = run_child(
            [words.get(word, word) for word in program.command],
            folder,
            timeout_s=program.timeout_s,
        )
        expression = read_answer(folder, conditions, task)
        self.notes = read_notes(folder)
        self.child = ChildResources(
            environment=interpreter.environment,
            wall_s=took.wall_s,
            peak_memory_bytes=took.peak_memory_bytes,
        )
        task.runtime.report(Progress("child", 1, 1, program.name))
        return Predictions(conditions, expression)


def _keep_output_alone(folder: Path) -> None:
    for path in folder.iterdir():
        if path.name in KEPT_AFTER_FAILURE:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
