"""What the facet writer ``llm`` asks, keeps, plans and returns, by an endpoint that behaves."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from local_endpoint import (
    EndpointAnswer,
    EndpointRequest,
    LocalEndpoint,
    completion,
    facet_answer,
    well_behaved,
)

from dygenept.errors import ConfigError, DataUnavailableError
from dygenept.plugin.interfaces import (
    CorpusEntry,
    FacetRequest,
    PartnerText,
    PlansCalls,
    ReadsCorpus,
    RegeneratesFacets,
)
from dygenept.types import FACETS, Progress, Runtime
from dygenept_plugins.facet_writers.llm import LlmConfig, LlmFacetWriter

MakeWriter = Callable[..., LlmFacetWriter]
Journal = Callable[[], list[dict[str, object]]]
CORPUS = tuple(
    CorpusEntry(gene=f"G{i}", symbol=f"G{i}", description=f"gene number {i}") for i in range(6)
)
KEY = "sk-test-very-secret-key"


def test_writer_follows_every_optional_protocol(make_writer: MakeWriter) -> None:
    writer = make_writer()
    assert isinstance(writer, ReadsCorpus)
    assert isinstance(writer, RegeneratesFacets)
    assert isinstance(writer, PlansCalls)


def test_one_call_a_gene_gives_its_facets_in_order(
    make_writer: MakeWriter, endpoint: LocalEndpoint
) -> None:
    written = make_writer().write_from(CORPUS, Runtime())
    assert [item.gene for item in written] == [entry.gene for entry in CORPUS]
    assert written[2].texts[0] == "G2 acts in transcriptional regulation. Its loss impairs it."
    assert written[2].texts[1] is None
    assert sorted(request.gene for request in endpoint.requests) == [f"G{i}" for i in range(6)]


def test_request_holds_model_temperature_schema_and_key(
    make_writer: MakeWriter, endpoint: LocalEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLM_API_KEY", KEY)
    make_writer(model="some-model", temperature=0.25, seed=7).write_from(CORPUS[:1], Runtime())
    (request,) = endpoint.requests
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.body["model"] == "some-model"
    assert request.body["temperature"] == 0.25
    assert request.body["seed"] == 7
    form = request.body["response_format"]
    assert isinstance(form, dict)
    facets = form["json_schema"]["schema"]["properties"]["facets"]
    assert form["json_schema"]["strict"] is True
    assert facets["required"] == list(FACETS)
    assert facets["additionalProperties"] is False


def test_writing_from_symbols_reads_the_shipped_tables(
    make_writer: MakeWriter, endpoint: LocalEndpoint
) -> None:
    written = make_writer().write(["KLF1", "NO_SUCH_GENE", "KIAA1804"], Runtime())
    assert sorted(request.gene for request in endpoint.requests) == ["KLF1", "MAP3K21"]
    assert [item.gene for item in written] == ["KLF1", "NO_SUCH_GENE", "KIAA1804"]
    assert written[1].texts == (None,) * 8
    prompts = {request.gene: request.messages[1] for request in endpoint.requests}
    assert "KLF transcription factor 1" in prompts["KLF1"]
    assert "DNA-binding transcription factor activity" in prompts["KLF1"]


def test_gene_without_text_but_with_partners_is_asked(
    make_writer: MakeWriter, endpoint: LocalEndpoint
) -> None:
    partner = PartnerText("TP53", "tumor protein p53", 0.9, "string")
    make_writer().write_from(
        [CorpusEntry("NEW1", partners=(partner,)), CorpusEntry("NEW2")], Runtime()
    )
    (request,) = endpoint.requests
    assert request.gene == "NEW1"
    assert "tumor protein p53" in request.messages[1]


def test_second_run_asks_nothing(make_writer: MakeWriter, endpoint: LocalEndpoint) -> None:
    first = make_writer().write_from(CORPUS, Runtime())
    again = make_writer().write_from(CORPUS[::-1], Runtime())
    assert again == first[::-1]
    assert len(endpoint.requests) == 6


def test_another_model_prompt_or_text_is_asked_anew(
    make_writer: MakeWriter, endpoint: LocalEndpoint
) -> None:
    entry = CORPUS[0]
    make_writer().write_from([entry], Runtime())
    make_writer(model="other").write_from([entry], Runtime())
    make_writer(max_sentences=5).write_from([entry], Runtime())
    make_writer().write_from([CorpusEntry("G0", "G0", "another description")], Runtime())
    assert len(endpoint.requests) == 4


def test_speed_and_retry_options_change_neither_identity_nor_answers(
    make_writer: MakeWriter, endpoint: LocalEndpoint
) -> None:
    make_writer().write_from(CORPUS, Runtime())
    other = make_writer(concurrency=1, timeout_s=9.0, max_attempts=2)
    other.write_from(CORPUS, Runtime())
    assert len(endpoint.requests) == 6
    assert other.identity == make_writer().identity
    assert make_writer(temperature=0.7).identity != make_writer().identity
    assert make_writer(max_terms=3).identity != make_writer().identity


def test_journal_keeps_prompt_hash_model_usage_and_cost(
    make_writer: MakeWriter, journal: Journal
) -> None:
    make_writer(input_price=2.0, output_price=10.0).write_from(CORPUS[:1], Runtime())
    (record,) = journal()
    assert record["outcome"] == "answer"
    assert len(str(record["key"])) == 64
    assert (record["model"], record["model_answered"]) == ("m", "local-model-1")
    assert (record["input_tokens"], record["output_tokens"]) == (1000, 400)
    assert record["cost"] == pytest.approx(1000 * 2e-6 + 400 * 10e-6)
    assert json.loads(str(record["answer"]))["gene"] == "G0"


def test_key_is_written_nowhere(
    make_writer: MakeWriter,
    endpoint: LocalEndpoint,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("LLM_API_KEY", KEY)
    caplog.set_level(logging.DEBUG)
    echo = json.dumps({"error": {"message": f"Incorrect key {KEY}, also sk-oth***er12"}})

    def respond(request: EndpointRequest) -> EndpointAnswer:
        if request.gene == "G0":
            return EndpointAnswer(echo, 400)
        return completion(f"my key is {KEY}") if request.gene == "G1" else well_behaved(request)

    endpoint.respond = respond
    with pytest.raises(DataUnavailableError) as caught:
        make_writer(max_attempts=1).write_from(CORPUS, Runtime())
    everything = (tmp_path / "journal.jsonl").read_text() + str(caught.value) + caplog.text
    assert "Incorrect key" in everything
    assert KEY not in everything
    assert "sk-oth" not in everything


def test_missing_key_is_said_before_any_call(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    journal = str(tmp_path / "journal.jsonl")
    config = LlmConfig(model="m", base_url="https://llm.example.org/v1", journal=journal)
    with pytest.raises(DataUnavailableError, match="export LLM_API_KEY"):
        LlmFacetWriter(config).write(["KLF1"], Runtime())


@pytest.mark.parametrize(
    "url", ["https://user:pass@host/v1", "https://host/v1?key=abc", "host/v1", "ftp://host/v1"]
)
def test_base_url_with_a_secret_or_without_a_scheme_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="base_url") as caught:
        LlmFacetWriter(LlmConfig(model="m", base_url=url))
    assert "pass" not in str(caught.value).replace("password", "")


def test_plan_counts_what_is_missing_and_sends_nothing(
    make_writer: MakeWriter, endpoint: LocalEndpoint
) -> None:
    make_writer().write_from(CORPUS[:2], Runtime())
    endpoint.requests.clear()
    priced = make_writer(input_price=1.0, output_price=4.0, output_tokens_per_facet=50)
    plan = priced.plan((*CORPUS, CorpusEntry("UNKNOWN")), Runtime())
    assert (plan.n_calls, plan.n_done) == (4, 2)
    assert plan.output_tokens == 4 * 8 * 50
    assert 4 * 200 < plan.input_tokens < 4 * 1000
    assert plan.cost == pytest.approx((plan.input_tokens + 4 * plan.output_tokens) / 1e6)
    assert "G2" in plan.prompt
    assert all(facet in plan.prompt for facet in FACETS)
    assert make_writer().plan(CORPUS, Runtime()).cost is None
    assert endpoint.requests == []


def _requests(gene: str, *facets: str) -> list[FacetRequest]:
    partners = (PartnerText("TP53", "It arrests the cycle. It kills cells.", 0.9, "string"),)
    entry = CorpusEntry(gene, gene, "a gene")
    return [FacetRequest(entry, facet, partners) for facet in facets]


def test_unknown_facets_are_written_from_partners_in_one_call_a_gene(
    make_writer: MakeWriter, endpoint: LocalEndpoint
) -> None:
    asked = [*_requests("G1", FACETS[5], FACETS[2]), *_requests("G2", FACETS[2])]
    texts = make_writer().regenerate(asked, Runtime())
    assert texts == (
        None,
        "G1 acts in cell death & survival. Its loss impairs it.",
        "G2 acts in cell death & survival. Its loss impairs it.",
    )
    by_gene = {request.gene: request for request in endpoint.requests}
    assert len(endpoint.requests) == 2
    assert by_gene["G1"].facets == (FACETS[2], FACETS[5])
    assert "It arrests the cycle." in by_gene["G1"].messages[1]
    assert make_writer().regenerate(asked, Runtime()) == texts
    assert len(endpoint.requests) == 2


def test_regeneration_with_a_facet_that_was_not_asked_for_is_a_failure(
    make_writer: MakeWriter, endpoint: LocalEndpoint
) -> None:
    endpoint.respond = lambda request: completion(facet_answer(request.gene, FACETS))
    with pytest.raises(DataUnavailableError, match="8 facets"):
        make_writer().regenerate(_requests("G1", FACETS[2]), Runtime())


def test_answers_are_kept_with_the_run_else_in_the_cache(
    make_writer: MakeWriter, tmp_path: Path
) -> None:
    writer = make_writer(journal=None)
    run, cache = tmp_path / "run", tmp_path / "cache"
    writer.write_from(CORPUS[:1], Runtime(checkpoint_dir=run, cache_dir=cache))
    assert (run / "llm_journal.jsonl").is_file()
    writer.write(["KLF1"], Runtime(checkpoint_dir=run, cache_dir=cache))
    assert (cache / "llm_journal.jsonl").is_file()


def test_progress_ends_at_the_number_of_genes(make_writer: MakeWriter) -> None:
    seen: list[Progress] = []
    make_writer().write_from(CORPUS, Runtime(report=seen.append))
    assert seen[-1] == Progress("write", 6, 6)


def test_no_gene_makes_no_call(make_writer: MakeWriter, endpoint: LocalEndpoint) -> None:
    assert make_writer().write_from([], Runtime()) == ()
    assert make_writer().regenerate([], Runtime()) == ()
    assert endpoint.requests == []


@pytest.mark.parametrize(
    "options", [{"min_sentences": 5, "max_sentences": 2}, {"input_price": 1.0}, {"api_key": "x"}]
)
def test_options_that_do_not_agree_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"sentences|output_price|extra"):
        LlmConfig.model_validate({"model": "m", **options})
