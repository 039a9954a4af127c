"""Which GO terms belong to which facet: the curated roots from which membership is inherited.

A term belongs to a facet if it is one of the facet's roots or lies below one along ``is_a`` and
``part_of``; below a root in ``regulated``, terms that regulate a member belong as well. Terms at
or below ``excluded`` are taken out again. A term may belong to several facets or to none.

``regulated`` is set root by root because everything regulates metabolism in GO: "regulation of
transcription" is a regulation of metabolic process, and would drown the metabolic facet.

There is no facet of development, so differentiation and blood formation stand beside proliferation,
where cell fate is looked for; red cells and platelets are no immune response.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

# Roots of the three ontologies and "protein binding" say nothing about a gene.
UNINFORMATIVE_TERMS: Mapping[str, str] = {
    "GO:0008150": "biological_process",
    "GO:0003674": "molecular_function",
    "GO:0005575": "cellular_component",
    "GO:0005515": "protein binding",
    "GO:0042802": "identical protein binding",
}


@dataclass(frozen=True, slots=True)
class FacetRoots:
    """The GO roots of one facet, id to name; the table builder checks that the names agree.

    Attributes:
        regulated: Roots whose regulators belong to the facet too.
        plain: Roots whose regulators do not.
        excluded: Subtrees taken out.
    """

    regulated: Mapping[str, str] = field(default_factory=dict)
    plain: Mapping[str, str] = field(default_factory=dict)
    excluded: Mapping[str, str] = field(default_factory=dict)


FACET_ROOTS: Mapping[str, FacetRoots] = {
    "Transcriptional Regulation": FacetRoots(
        regulated={
            "GO:0006351": "DNA-templated transcription",
            "GO:0006325": "chromatin organization",
            "GO:0016570": "histone modification",
            "GO:0006397": "mRNA processing",
            "GO:0008380": "RNA splicing",
            "GO:0031047": "gene silencing by RNA",
        },
        plain={
            "GO:0010468": "regulation of gene expression",
            "GO:0140110": "transcription regulator activity",
            "GO:0000976": "transcription cis-regulatory region binding",
            "GO:0003677": "DNA binding",
            "GO:0003682": "chromatin binding",
            "GO:0042393": "histone binding",
            "GO:0008134": "transcription factor binding",
            "GO:0042826": "histone deacetylase binding",
            "GO:0003729": "mRNA binding",
            "GO:0000785": "chromatin",
            "GO:0005667": "transcription regulator complex",
            "GO:0030880": "RNA polymerase complex",
            "GO:0016592": "mediator complex",
            "GO:0070603": "SWI/SNF superfamily-type complex",
            "GO:0005681": "spliceosomal complex",
            "GO:0016607": "nuclear speck",
        },
        excluded={
            "GO:0001816": "cytokine production",
            "GO:0001817": "regulation of cytokine production",
        },
    ),
    "Cell Cycle & Proliferation": FacetRoots(
        regulated={
            "GO:0007049": "cell cycle",
            "GO:0008283": "cell population proliferation",
            "GO:0051301": "cell division",
            "GO:0006260": "DNA replication",
            "GO:0007059": "chromosome segregation",
            "GO:0016049": "cell growth",
            "GO:0019827": "stem cell population maintenance",
            "GO:0000723": "telomere maintenance",
        },
        plain={
            "GO:0006281": "DNA repair",
            "GO:0008083": "growth factor activity",
            "GO:0016538": ("cyclin-dependent protein serine/threonine kinase regulator activity"),
            "GO:0000307": "cyclin-dependent protein kinase holoenzyme complex",
            "GO:0005819": "spindle",
            "GO:0005813": "centrosome",
            "GO:0000775": "chromosome, centromeric region",
            "GO:0000776": "kinetochore",
            "GO:0000793": "condensed chromosome",
            "GO:0005657": "replication fork",
            "GO:0042555": "MCM complex",
        },
        excluded={"GO:0048588": "developmental cell growth"},
    ),
    "Cell Death & Survival": FacetRoots(
        regulated={
            "GO:0008219": "cell death",
            "GO:0033554": "cellular response to stress",
            "GO:0006914": "autophagy",
        },
        plain={
            "GO:0006979": "response to oxidative stress",
            "GO:0006986": "response to unfolded protein",
            "GO:0001666": "response to hypoxia",
            "GO:0009408": "response to heat",
            "GO:0043028": (
                "cysteine-type endopeptidase regulator activity involved in apoptotic process"
            ),
            "GO:0089720": "caspase binding",
            "GO:0051400": "BH domain binding",
            "GO:0097136": "Bcl-2 family protein complex",
            "GO:0043293": "apoptosome",
        },
    ),
    "Metabolic Processes": FacetRoots(
        regulated={
            "GO:0044281": "small molecule metabolic process",
            "GO:0006629": "lipid metabolic process",
            "GO:0005975": "carbohydrate metabolic process",
            "GO:0006091": "generation of precursor metabolites and energy",
            "GO:0006412": "translation",
            "GO:0030163": "protein catabolic process",
        },
        plain={
            "GO:0008152": "metabolic process",
            "GO:0003824": "catalytic activity",
            "GO:0022613": "ribonucleoprotein complex biogenesis",
            "GO:0006457": "protein folding",
            "GO:0007005": "mitochondrion organization",
            "GO:0055088": "lipid homeostasis",
            "GO:0042593": "glucose homeostasis",
            "GO:0003735": "structural constituent of ribosome",
            "GO:0008135": "translation factor activity, RNA binding",
            "GO:0019843": "rRNA binding",
            "GO:0000049": "tRNA binding",
            "GO:0051082": "unfolded protein binding",
            "GO:0044183": "protein folding chaperone",
            "GO:0061134": "peptidase regulator activity",
            "GO:0052547": "regulation of peptidase activity",
            "GO:0005739": "mitochondrion",
            "GO:0005840": "ribosome",
            "GO:0005777": "peroxisome",
            "GO:0000502": "proteasome complex",
            "GO:0000151": "ubiquitin ligase complex",
        },
        excluded={
            "GO:0006351": "DNA-templated transcription",
            "GO:0001816": "cytokine production",
            "GO:0006468": "protein phosphorylation",
            "GO:0006470": "protein dephosphorylation",
            "GO:0004672": "protein kinase activity",
            "GO:0004721": "phosphoprotein phosphatase activity",
            "GO:0003924": "GTPase activity",
            "GO:0005741": "mitochondrial outer membrane",
        },
    ),
    "Immune Response": FacetRoots(
        regulated={
            "GO:0002376": "immune system process",
            "GO:0006952": "defense response",
            "GO:0001816": "cytokine production",
            "GO:0034097": "response to cytokine",
        },
        plain={
            "GO:0051707": "response to other organism",
            "GO:0005125": "cytokine activity",
            "GO:0005126": "cytokine receptor binding",
            "GO:0004896": "cytokine receptor activity",
            "GO:0140375": "immune receptor activity",
            "GO:0003823": "antigen binding",
            "GO:0042611": "MHC protein complex",
            "GO:0019814": "immunoglobulin complex",
        },
    ),
    "Signal Transduction": FacetRoots(
        regulated={
            "GO:0007165": "signal transduction",
            "GO:0007267": "cell-cell signaling",
            "GO:0006468": "protein phosphorylation",
        },
        plain={
            "GO:0071495": "cellular response to endogenous stimulus",
            "GO:0006470": "protein dephosphorylation",
            "GO:0060089": "molecular transducer activity",
            "GO:0005102": "signaling receptor binding",
            "GO:0004672": "protein kinase activity",
            "GO:0004721": "phosphoprotein phosphatase activity",
            "GO:0003924": "GTPase activity",
            "GO:0060589": "nucleoside-triphosphatase regulator activity",
            "GO:0019887": "protein kinase regulator activity",
            "GO:0019900": "kinase binding",
            "GO:0031267": "small GTPase binding",
            "GO:0035591": "signaling adaptor activity",
            "GO:0043235": "receptor complex",
            "GO:0043087": "regulation of GTPase activity",
        },
    ),
    "Cell Motility & Adhesion": FacetRoots(
        regulated={
            "GO:0048870": "cell motility",
            "GO:0007155": "cell adhesion",
            "GO:0006935": "chemotaxis",
            "GO:0007010": "cytoskeleton organization",
            "GO:0030029": "actin filament-based process",
            "GO:0030198": "extracellular matrix organization",
            "GO:0000902": "cell morphogenesis",
            "GO:0034330": "cell junction organization",
            "GO:0001525": "angiogenesis",
        },
        plain={
            "GO:0007018": "microtubule-based movement",
            "GO:0050839": "cell adhesion molecule binding",
            "GO:0098631": "cell adhesion mediator activity",
            "GO:0003774": "cytoskeletal motor activity",
            "GO:0008092": "cytoskeletal protein binding",
            "GO:0005201": "extracellular matrix structural constituent",
            "GO:0030054": "cell junction",
            "GO:0031012": "extracellular matrix",
            "GO:0015629": "actin cytoskeleton",
            "GO:0030027": "lamellipodium",
            "GO:0005929": "cilium",
            "GO:0044782": "cilium organization",
            "GO:0045111": "intermediate filament cytoskeleton",
            "GO:0045104": "intermediate filament cytoskeleton organization",
        },
        excluded={
            "GO:0045202": "synapse",
            "GO:0050808": "synapse organization",
            "GO:0007051": "spindle organization",
        },
    ),
    "Transport & Localization": FacetRoots(
        regulated={
            "GO:0051179": "localization",
            "GO:0016192": "vesicle-mediated transport",
            "GO:0061024": "membrane organization",
        },
        plain={
            "GO:0050801": "ion homeostasis",
            "GO:0005215": "transporter activity",
            "GO:0140104": "molecular carrier activity",
            "GO:0005794": "Golgi apparatus",
            "GO:0005768": "endosome",
            "GO:0005764": "lysosome",
            "GO:0031410": "cytoplasmic vesicle",
            "GO:0030117": "membrane coat",
            "GO:0005643": "nuclear pore",
        },
        excluded={"GO:0048870": "cell motility", "GO:0006935": "chemotaxis"},
    ),
}

# What came after the first version of the roots. Simulated data sets are planted by that version,
# so that they stay as they are.
LATER_ROOTS: Mapping[str, FacetRoots] = {
    "Cell Cycle & Proliferation": FacetRoots(
        regulated={
            "GO:0030154": "cell differentiation",
            "GO:0030097": "hemopoiesis",
        },
        plain={
            "GO:0048872": "homeostasis of number of cells",
            "GO:0009790": "embryo development",
        },
    ),
    "Immune Response": FacetRoots(
        excluded={
            "GO:0030218": "erythrocyte differentiation",
            "GO:0045646": "regulation of erythrocyte differentiation",
            "GO:0034101": "erythrocyte homeostasis",
            "GO:0030219": "megakaryocyte differentiation",
            "GO:0045652": "regulation of megakaryocyte differentiation",
            "GO:0060216": "definitive hemopoiesis",
            "GO:0060215": "primitive hemopoiesis",
            "GO:0002244": "hematopoietic progenitor cell differentiation",
        },
    ),
}


def roots_of(facet: str, *, first_version: bool = False) -> FacetRoots:
    """Return the roots of a facet, or those of their first version."""
    roots, later = FACET_ROOTS[facet], LATER_ROOTS.get(facet)
    if later is None or first_version:
        return roots
    return FacetRoots(
        regulated={**roots.regulated, **later.regulated},
        plain={**roots.plain, **later.plain},
        excluded={**roots.excluded, **later.excluded},
    )
