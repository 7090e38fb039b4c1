"""The MR sequence from users' words, BIDS names, sidecars and scanners' descriptions."""

import pytest

from encoders.sequences import MRSequence, SequenceError, parse_sequence, recognise_sequence


@pytest.mark.parametrize("sequence", list(MRSequence))
def test_its_own_name_parses_to_itself(sequence: MRSequence) -> None:
    assert parse_sequence(sequence.value) is sequence
    assert parse_sequence(f"  {sequence.value.upper()} ") is sequence


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("t1 post", MRSequence.T1W_POST),
        ("T1c", MRSequence.T1W_POST),
        ("T1+Gd", MRSequence.T1W_POST),
        ("flair", MRSequence.FLAIR),
        ("T2-FLAIR", MRSequence.FLAIR),
        ("t2star", MRSequence.T2STAR),
        ("GRE", MRSequence.T2STAR),
        ("Diffusion", MRSequence.DWI),
        ("proton density", MRSequence.PDW),
    ],
)
def test_users_words(text: str, expected: MRSequence) -> None:
    assert parse_sequence(text) is expected


@pytest.mark.parametrize("text", ["", "ct", "t3", "\x1b[2J", "T1w or T2w"])
def test_unknown_words_name_what_is_accepted(text: str) -> None:
    with pytest.raises(SequenceError, match="T1w post contrast") as raised:
        parse_sequence(text)
    assert "\x1b" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sub-01_ses-1_T1w.nii.gz", MRSequence.T1W),
        ("sub-01_ce-GAD_T1w.nii.gz", MRSequence.T1W_POST),
        ("sub-01_ce-GAD_acq-x_T1w.nii", MRSequence.T1W_POST),
        ("sub-01_T2w.nii.gz", MRSequence.T2W),
        ("sub-01_T2starw.nii.gz", MRSequence.T2STAR),
        ("sub-01_FLAIR.nii.gz", MRSequence.FLAIR),
        ("sub-01_dwi.nii.gz", MRSequence.DWI),
        ("sub-01_ADC.nii.gz", MRSequence.ADC),
        ("sub-01_swi.nii.gz", MRSequence.SWI),
        ("sub-01_PDw.nii.gz", MRSequence.PDW),
        ("some/folder_T2w/sub-01_FLAIR.nii.gz", MRSequence.FLAIR),
        ("AX T2 FLAIR FS", MRSequence.FLAIR),
        ("t2_tse_tra", MRSequence.T2W),
        ("ep2d_diff_ADC", MRSequence.ADC),
        ("ep2d_diff_TRACEW", MRSequence.DWI),
        ("SAG T1 MPRAGE POST GAD", MRSequence.T1W_POST),
        ("T1 MPRAGE without contrast", MRSequence.T1W),
        ("BraTS-0001-t1c.nii.gz", MRSequence.T1W_POST),
        ("AX T2* GRE", MRSequence.T2STAR),
        ("SWI_Images", MRSequence.SWI),
        ("ax pd fse", MRSequence.PDW),
        ("ep2d_bold_rest", None),
        ("localizer", None),
        ("sub-01_ses-2", None),
        ("", None),
    ],
)
def test_names_of_files_and_series(name: str, expected: MRSequence | None) -> None:
    assert recognise_sequence(name) is expected


@pytest.mark.parametrize(
    ("sidecar", "expected"),
    [
        ({"SeriesDescription": "Ax FLAIR"}, MRSequence.FLAIR),
        ({"ProtocolName": "t1_mprage_sag"}, MRSequence.T1W),
        ({"ProtocolName": "t1_mprage_sag", "ContrastBolusAgent": "Gadovist"}, MRSequence.T1W_POST),
        ({"ProtocolName": "t1_mprage_sag", "ContrastBolusAgent": "none"}, MRSequence.T1W),
        ({"EchoTime": 0.12, "RepetitionTime": 9.0, "InversionTime": 2.5}, MRSequence.FLAIR),
        ({"EchoTime": 0.1, "RepetitionTime": 4.0}, MRSequence.T2W),
        ({"EchoTime": 0.01, "RepetitionTime": 3.0}, MRSequence.PDW),
        ({"EchoTime": 0.003, "RepetitionTime": 2.3, "InversionTime": 0.9}, MRSequence.T1W),
        ({"EchoTime": 100, "RepetitionTime": 4000}, MRSequence.T2W),
        ({"EchoTime": "0.1", "RepetitionTime": None}, None),
        ({"EchoTime": float("nan"), "RepetitionTime": -1}, None),
        ({"SeriesDescription": 7}, None),
    ],
)
def test_sidecars(sidecar: dict[str, object], expected: MRSequence | None) -> None:
    assert recognise_sequence("sub-01_run-1.nii.gz", sidecar) is expected


def test_the_name_goes_before_the_sidecar() -> None:
    assert recognise_sequence("sub-01_T2w.nii.gz", {"SeriesDescription": "FLAIR"}) is MRSequence.T2W


def test_a_contrast_agent_in_the_sidecar_tells_what_the_name_does_not() -> None:
    assert recognise_sequence("sub-01_T1w.nii.gz", {"ContrastBolusAgent": "Dotarem"}) is MRSequence.T1W_POST
