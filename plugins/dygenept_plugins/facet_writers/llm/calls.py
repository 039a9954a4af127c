"""Asks a language model many things at once, keeps every answer, and names what failed."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dygenept_plugins.endpoints.asking import Pace
from dygenept_plugins.endpoints.connection import checked_base_url
from dygenept_plugins.endpoints.faults import Fault, fault_of
from dygenept_plugins.endpoints.redaction import redacted
from dygenept_plugins.facet_writers.llm.answer import AnswerError, parse_answer
from dygenept_plugins.facet_writers.llm.chat import RESPONSE_FORMATS, Reply, refuses_format, send
from dygenept_plugins.facet_writers.llm.config import LlmConfig
from dygenept_plugins.facet_writers.llm.journal import ANSWER, Journal
from dygenept_plugins.facet_writers.llm.prompt import Ask

if TYPE_CHECKING:
    from openai import OpenAI

MAX_KEPT_TEXT = 50_000
Texts = tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a round of calls.

    Attributes:
        answers: Facet texts by request key.
        failures: Why a request was given up, by key.
        stopped_by: What ended the run before all was asked; None where nothing did.
    """

    answers: Mapping[str, Texts]
    failures: Mapping[str, str]
    stopped_by: str | None


@dataclass(slots=True)
class _Shared:
    """What the threads of one run share; guarded by ``lock``."""

    form: int
    n_answers: int = 0
    n_given_up_in_a_row: int = 0
    stopped_by: str | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


class Caller:
    """Makes the calls of one run.

    Args:
        client: Client of the endpoint; must not retry by itself.
        config: How to ask.
        journal: Where every answer is kept; open for writing.
        pace: Rate limit.
    """

    def __init__(self, client: OpenAI, *, config: LlmConfig, journal: Journal, pace: Pace) -> None:
        self._client = client
        self._config = config
        self._journal = journal
        self._pace = pace
        self._shared = _Shared(RESPONSE_FORMATS.index(config.response_format))

    def run(self, asks: Mapping[str, Ask], report: Callable[[int], None]) -> Outcome:
        """Ask everything once; a failure of one does not touch the others.

        Args:
            asks: What to ask, by request key.
            report: Called with how many are done, failed ones too.

        Raises:
            DataUnavailableError: If the journal cannot be written.
        """
        answers: dict[str, Texts] = {}
        failures: dict[str, str] = {}
        executor = ThreadPoolExecutor(self._config.concurrency, thread_name_prefix="llm")
        try:
            futures = {executor.submit(self._ask, key, ask): key for key, ask in asks.items()}
            for n_done, future in enumerate(as_completed(futures), start=1):
                key, result = futures[future], future.result()
                if isinstance(result, str):
                    failures[key] = result
                elif result is not None:
                    answers[key] = result
                report(n_done)
        finally:
            # Also on Ctrl-C: no further request, and what is on its way is kept.
            self._pace.stop()
            executor.shutdown(wait=True, cancel_futures=True)
        return Outcome(answers, failures, self._shared.stopped_by)

    def _ask(self, key: str, ask: Ask) -> Texts | str | None:
        """Return the texts, why it was given up, or None if it was not tried to the end."""
        attempt, correction = 0, ""
        while self._pace.turn():
            with self._shared.lock:
                form = self._shared.form
            attempt += 1
            result = self._attempt(key, ask, attempt=attempt, form=form, correction=correction)
            if not isinstance(result, Fault):
                with self._shared.lock:
                    self._shared.n_answers += 1
                    self._shared.n_given_up_in_a_row = 0
                return result
            if self._loosens(result, form):
                attempt -= 1
                continue
            correction = result.message if result.kind == "answer" else ""
            wait_s = self._config.policy.wait_s(result, attempt)
            if wait_s is None:
                return self._give_up(key, ask, result, attempt)
            if result.retry_after_s is not None:
                self._pace.hold(wait_s)
            else:
                self._pace.sleep(wait_s)
        return None

    def _attempt(
        self, key: str, ask: Ask, *, attempt: int, form: int, correction: str
    ) -> Texts | Fault:
        config = self._config
        head = self._head(key, ask) | {
            "attempt": attempt,
            "response_format": RESPONSE_FORMATS[form],
        }
        try:
            reply = send(
                self._client,
                messages=_messages(ask, correction),
                settings=config.request,
                facets=ask.facets,
                response_format=RESPONSE_FORMATS[form],
            )
        except Exception as error:  # noqa: BLE001  # raised again unless the client's own
            fault = fault_of(error)
            self._journal.append(head | {"outcome": "error"} | _fault_record(fault))
            return fault
        head |= self._reply_record(reply)
        try:
            texts = parse_answer(
                reply.usable_text(),
                gene=ask.gene,
                facets=ask.facets,
                min_sentences=config.min_sentences,
                max_sentences=config.max_sentences,
            )
        except AnswerError as error:
            fault = Fault("answer", str(error), 200)
            self._journal.append(head | {"outcome": "unusable"} | _fault_record(fault))
            return fault
        # An escape in the answer's JSON may have hidden the key from a first look.
        texts = tuple(None if text is None else redacted(text) for text in texts)
        self._journal.append(head | {"outcome": ANSWER, "texts": list(texts)})
        return texts

    def _loosens(self, fault: Fault, form: int) -> bool:
        """Ask for a looser form from now on, where the server refused this one.

        Before the first answer any refusal is taken for one of the form, since servers word it as
        they like.
        """
        if fault.kind != "refused" or form == len(RESPONSE_FORMATS) - 1:
            return False
        with self._shared.lock:
            if form < self._shared.form:
                # Another thread found this refusal out first, and may have its answer by now.
                return True
            if self._shared.n_answers and not refuses_format(fault.message):
                return False
            # Threads that were refused together must not skip a form.
            self._shared.form = form + 1
        return True

    def _give_up(self, key: str, ask: Ask, fault: Fault, attempt: int) -> str:
        self._journal.append(
            self._head(key, ask)
            | {"outcome": "failure", "attempts": attempt}
            | _fault_record(fault)
        )
        with self._shared.lock:
            self._shared.n_given_up_in_a_row += 1
            in_a_row = self._shared.n_given_up_in_a_row
            if fault.is_fatal or in_a_row >= self._config.stop_after:
                reason = fault.message
                if not fault.is_fatal:
                    reason = f"{in_a_row} in a row were given up, the last because: {reason}"
                self._shared.stopped_by = self._shared.stopped_by or reason
                self._pace.stop()
        return fault.message

    def _head(self, key: str, ask: Ask) -> dict[str, object]:
        return {
            "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds"),
            "key": key,
            "gene": ask.gene,
            "facets": list(ask.facets),
            "base_url": checked_base_url(self._config.base_url),
            "model": self._config.request["model"],
        }

    def _reply_record(self, reply: Reply) -> dict[str, object]:
        text = reply.text or reply.refusal or reply.raw
        return {
            "model_answered": reply.model,
            "answer_id": reply.id,
            "finish_reason": reply.finish_reason,
            "input_tokens": reply.input_tokens,
            "output_tokens": reply.output_tokens,
            "cost": cost_of(reply.input_tokens, reply.output_tokens, self._config.prices),
            "answer": text[:MAX_KEPT_TEXT],
            "answer_chars": len(text),
        }


def cost_of(
    input_tokens: int | None, output_tokens: int | None, prices: tuple[float, float] | None
) -> float | None:
    """Return US dollars, or None where tokens or prices are unknown."""
    if prices is None or input_tokens is None or output_tokens is None:
        return None
    return (input_tokens * prices[0] + output_tokens * prices[1]) / 1e6


def _messages(ask: Ask, correction: str) -> Sequence[Mapping[str, str]]:
    messages = [
        {"role": "system", "content": ask.system},
        {"role": "user", "content": ask.user},
    ]
    if correction:
        # Our own words on what was wrong: at temperature 0 the same prompt gets the same answer.
        text = f"An earlier answer was refused: {correction}. Answer again, with the whole object."
        messages.append({"role": "user", "content": text})
    return messages


def _fault_record(fault: Fault) -> dict[str, object]:
    return {"fault": fault.kind, "message": fault.message, "status": fault.status}
