"""Stands in for pydicom_seg, which MONAI Label's server imports for DICOM, which nothing here reads."""
