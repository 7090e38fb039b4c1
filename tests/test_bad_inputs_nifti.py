"""Bad NIfTI files and archives, sent to a running server: every row of the tables that applies."""

from __future__ import annotations

import numpy as np
import pytest
from bad_inputs import archive_rows, nifti_rows
from bad_inputs.checking import Row, check, name_of
from running_service import Service
from test_volume import smooth_voxels
from volume_properties import CODES

from encoders.volume import VolumeError, read_volume

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("row", nifti_rows.ROWS, ids=name_of)
def test_a_nifti_row(service: Service, row: Row) -> None:
    check(service, row)


@pytest.mark.parametrize("row", archive_rows.ROWS, ids=name_of)
def test_an_archive_or_dicom_row(service: Service, row: Row) -> None:
    check(service, row)


def test_no_flipped_bit_gives_wrong_voxels() -> None:
    refused = 0
    for content in nifti_rows.flipped_payloads(300):
        try:
            voxels = read_volume(content).voxels
        except VolumeError as error:
            assert error.code in CODES
            refused += 1
        else:
            np.testing.assert_array_equal(voxels, smooth_voxels())
    assert refused >= 299
