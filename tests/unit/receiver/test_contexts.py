"""[R12] What is accepted: every transfer syntax a scanner may send, for every object that comes along in a study."""

from __future__ import annotations

from edge_app.receiver.contexts import DOCUMENT_CLASSES, IMAGE_CLASSES, IMAGE_SYNTAXES, supported_contexts

REQUIRED_SYNTAXES = {
    "1.2.840.10008.1.2": "Implicit VR LE",
    "1.2.840.10008.1.2.1": "Explicit VR LE",
    "1.2.840.10008.1.2.1.99": "Deflated",
    "1.2.840.10008.1.2.2": "Explicit VR BE",
    "1.2.840.10008.1.2.5": "RLE",
    "1.2.840.10008.1.2.4.50": "JPEG Baseline",
    "1.2.840.10008.1.2.4.51": "JPEG Extended",
    "1.2.840.10008.1.2.4.57": "JPEG Lossless",
    "1.2.840.10008.1.2.4.70": "JPEG Lossless SV1",
    "1.2.840.10008.1.2.4.80": "JPEG-LS lossless",
    "1.2.840.10008.1.2.4.81": "JPEG-LS near-lossless",
    "1.2.840.10008.1.2.4.90": "JPEG 2000 lossless",
    "1.2.840.10008.1.2.4.91": "JPEG 2000",
    "1.2.840.10008.1.2.4.201": "HTJ2K lossless",
}
REQUIRED_CLASSES = {
    "1.2.840.10008.1.1": "Verification",
    "1.2.840.10008.1.20.1": "Storage Commitment Push Model",
    "1.2.840.10008.5.1.4.1.1.2": "CT",
    "1.2.840.10008.5.1.4.1.1.2.1": "Enhanced CT",
    "1.2.840.10008.5.1.4.1.1.7": "Secondary Capture",
    "1.2.840.10008.5.1.4.1.1.7.4": "Multi-frame True Color SC",
    "1.2.840.10008.5.1.4.1.1.88.67": "X-Ray Radiation Dose SR",
}


def test_every_required_object_and_encoding_is_accepted() -> None:
    accepted = {str(context.abstract_syntax): set(context.transfer_syntax) for context in supported_contexts()}
    assert accepted.keys() >= REQUIRED_CLASSES.keys()
    for uid in IMAGE_CLASSES:
        assert accepted[uid] >= REQUIRED_SYNTAXES.keys()


def test_nothing_is_offered_twice() -> None:
    classes = [context.abstract_syntax for context in supported_contexts()]
    assert len(classes) == len(set(classes)) == 2 + len(IMAGE_CLASSES) + len(DOCUMENT_CLASSES)
    assert len(IMAGE_SYNTAXES) == len(set(IMAGE_SYNTAXES))
