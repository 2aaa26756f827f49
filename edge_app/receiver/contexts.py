"""What the receiver accepts: SOP classes and transfer syntaxes (deploy's conformance statement repeats this table).

Accepted means stored. Which images can be analysed is decided by the worker, which says why not (SCREEN.md R12).
"""

from __future__ import annotations

from pydicom.uid import (
    JPEG2000,
    UID,
    BasicTextSRStorage,
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    EnhancedSRStorage,
    EnhancedXRayRadiationDoseSRStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    GrayscaleSoftcopyPresentationStateStorage,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    KeyObjectSelectionDocumentStorage,
    LegacyConvertedEnhancedCTImageStorage,
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    MultiFrameSingleBitSecondaryCaptureImageStorage,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    RLELossless,
    SecondaryCaptureImageStorage,
    XRayRadiationDoseSRStorage,
)
from pynetdicom import build_context
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import StorageCommitmentPushModel, Verification

__all__ = [
    "DOCUMENT_CLASSES",
    "DOCUMENT_SYNTAXES",
    "IMAGE_CLASSES",
    "IMAGE_SYNTAXES",
    "LOSSY_SYNTAXES",
    "supported_contexts",
]

IMAGE_CLASSES: tuple[UID, ...] = (
    CTImageStorage,
    EnhancedCTImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
    SecondaryCaptureImageStorage,
    MultiFrameSingleBitSecondaryCaptureImageStorage,
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
)
"""CT, and the dose and summary pages that scanners send along."""

DOCUMENT_CLASSES: tuple[UID, ...] = (
    XRayRadiationDoseSRStorage,
    EnhancedXRayRadiationDoseSRStorage,
    BasicTextSRStorage,
    EnhancedSRStorage,
    ComprehensiveSRStorage,
    Comprehensive3DSRStorage,
    KeyObjectSelectionDocumentStorage,
    GrayscaleSoftcopyPresentationStateStorage,
)
"""Objects without pixels that come along in a study; refusing them would fail the scanner's whole job."""

DOCUMENT_SYNTAXES: tuple[UID, ...] = (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
)

IMAGE_SYNTAXES: tuple[UID, ...] = (
    *DOCUMENT_SYNTAXES,
    RLELossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    JPEG2000Lossless,
    JPEG2000,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
)
"""The lossy ones are stored and shown, and refused for analysis."""

LOSSY_SYNTAXES = frozenset((JPEGLSNearLossless, JPEGBaseline8Bit, JPEGExtended12Bit))
"""Syntaxes that always lose grey levels; a test holds them against those the input gate refuses."""


def supported_contexts() -> list[PresentationContext]:
    """Return the presentation contexts the receiver offers as SCP (PS3.8 Section 7.1.1.13)."""
    return [
        build_context(Verification, list(DOCUMENT_SYNTAXES[:3])),
        build_context(StorageCommitmentPushModel, list(DOCUMENT_SYNTAXES[:3])),
        *(build_context(uid, list(IMAGE_SYNTAXES)) for uid in IMAGE_CLASSES),
        *(build_context(uid, list(DOCUMENT_SYNTAXES)) for uid in DOCUMENT_CLASSES),
    ]
