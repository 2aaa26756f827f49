"""The result page as a Secondary Capture Image (PS3.3 A.8.1): the one object that every PACS shows."""

from __future__ import annotations

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEGLSLossless, SecondaryCaptureImageStorage

from edge_app.reports.header import Kind, ReportInput, equipment, finish
from edge_app.reports.page import draw_page

__all__ = ["make_page"]


def make_page(report: ReportInput) -> Dataset:
    """Return the page, 8 bit RGB, JPEG-LS Lossless (a tenth of the size), marked as holding burned-in identity."""
    page = draw_page(report)
    made = equipment(report, Kind.PAGE)
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    ds.file_meta.MediaStorageSOPInstanceUID = UID(str(made["sop_instance_uid"]))
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = SecondaryCaptureImageStorage
    ds.SOPInstanceUID = made["sop_instance_uid"]
    ds.SeriesInstanceUID = made["series_instance_uid"]
    ds.SeriesNumber = made["series_number"]
    ds.InstanceNumber = made["instance_number"]
    ds.Modality = "OT"
    ds.Laterality = ""
    ds.ConversionType = "WSD"
    ds.ImageType = ["DERIVED", "SECONDARY"]
    ds.PatientOrientation = ""
    ds.BurnedInAnnotation = "YES"
    ds.SamplesPerPixel = 3
    ds.PhotometricInterpretation = "RGB"
    ds.PlanarConfiguration = 0
    ds.Rows, ds.Columns = page.shape[:2]
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    ds.PixelData = page.tobytes()
    ds["PixelData"].VR = "OB"
    ds.compress(JPEGLSLossless, generate_instance_uid=False)
    return finish(ds, report, Kind.PAGE)
