"""The real programs that NeuroRecall talks to: each is started on loopback, used for real, and ended by its id."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest

from encoders import MRSequence
from indexer.vector_store import FaissStore, write_faiss


def wait_until(answers: Callable[[], bool], seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not answers():
        if time.monotonic() > end:
            pytest.fail(f"{what} did not answer within {seconds:.0f} s")
        time.sleep(0.2)


@contextmanager
def process(command: list[str], log: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A program in a session of its own, killed with its children at the end."""
    with log.open("wb") as output:
        started = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env=os.environ | environment, start_new_session=True
        )
    try:
        yield started
    finally:
        os.killpg(started.pid, signal.SIGKILL)
        started.wait(30)


def get(url: str) -> httpx.Response | None:
    try:
        return httpx.get(url, timeout=5, trust_env=False)
    except httpx.TransportError:
        return None


@pytest.mark.orthanc
def test_orthanc_stores_and_returns_an_instance_over_dicomweb(tmp_path: Path, free_port: int) -> None:
    port, storage = free_port, tmp_path / "storage"
    configuration = tmp_path / "orthanc.json"
    configuration.write_text(
        json.dumps(
            {
                "StorageDirectory": str(storage),
                "IndexDirectory": str(storage),
                "HttpPort": port,
                "HttpBindAddresses": ["127.0.0.1"],
                "DicomServerEnabled": False,
                "RemoteAccessAllowed": False,
                "AuthenticationEnabled": False,
                "Plugins": ["/usr/share/orthanc/plugins"],
                "DicomWeb": {"Enable": True},
            }
        )
    )
    root = f"http://127.0.0.1:{port}"
    with process(["Orthanc", str(configuration)], tmp_path / "log"):
        wait_until(lambda: get(f"{root}/system") is not None, 30, "Orthanc")
        stored = httpx.post(f"{root}/instances", content=_secondary_capture(tmp_path), trust_env=False)
        assert stored.status_code == 200
        studies = httpx.get(f"{root}/dicom-web/studies", headers={"Accept": "application/dicom+json"}, trust_env=False)
        assert [study["00100020"]["Value"] for study in studies.json()] == [["PHANTOM1"]]


def _secondary_capture(folder: Path) -> bytes:
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = MRImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset(str(folder / "phantom.dcm"), {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = generate_uid(), generate_uid()
    dataset.PatientID, dataset.Modality = "PHANTOM1", "MR"
    dataset.Rows = dataset.Columns = 8
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 0
    dataset.PixelData = np.arange(64, dtype="<u2").tobytes()
    dataset.save_as(folder / "phantom.dcm", enforce_file_format=True)
    return (folder / "phantom.dcm").read_bytes()


@pytest.mark.milvus
@pytest.mark.filterwarnings("ignore")
def test_milvus_ranks_as_the_faiss_store_does(tmp_path: Path, free_port: int) -> None:
    from milvus import MilvusServer
    from pymilvus import MilvusClient

    generator = np.random.default_rng(3)
    vectors = generator.standard_normal((500, 32)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    write_faiss(tmp_path / "series.faiss", 32, 500, [vectors.astype(np.float16)])
    store = FaissStore.open(tmp_path / "series.faiss")
    program = tmp_path / "serve.py"
    program.write_text(
        "import sys, time\n"
        "from milvus import MilvusServer\n"
        "server = MilvusServer()\n"
        "server.set_base_dir(sys.argv[1]); server.listen_port = int(sys.argv[2])\n"
        "server.start(); time.sleep(600)\n"
    )
    assert MilvusServer
    port = free_port
    with process([sys.executable, str(program), str(tmp_path / "data"), str(port)], tmp_path / "log"):
        wait_until(lambda: _answers("127.0.0.1", port), 90, "Milvus")
        client = MilvusClient(uri=f"http://127.0.0.1:{port}")
        client.create_collection("series", dimension=32, metric_type="IP", consistency_level="Strong")
        client.insert("series", [{"id": row, "vector": vector.tolist()} for row, vector in enumerate(vectors)])
        answers = client.search("series", data=vectors[:20].tolist(), limit=5)
        scores, positions = store.search(vectors[:20], 5, None)
        # Nearly equal scores may change places between float16 here and float32 there, so scores are compared.
        assert [answer[0]["id"] for answer in answers] == positions[:, 0].tolist()
        assert np.allclose([[hit["distance"] for hit in answer] for answer in answers], scores, atol=2e-3)


@pytest.mark.ray
@pytest.mark.filterwarnings("ignore")
def test_ray_runs_an_actor_on_each_of_two_nodes(tmp_path: Path, free_port: int) -> None:
    import ray

    quiet = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DISABLE_IMPORT_WARNING": "1"}
    port = free_port
    node = [str(Path(sys.executable).parent / "ray"), "start", "--block", "--num-cpus=1"]
    node.append("--object-store-memory=100000000")
    head = [*node, "--head", "--node-ip-address=127.0.0.2", f"--port={port}", "--include-dashboard=false"]
    worker = [*node, f"--address=127.0.0.2:{port}", "--node-ip-address=127.0.0.3"]
    # Ray's sockets lie below its folder, and a socket's path may have 107 bytes: pytest's own folders are too deep.
    with (
        tempfile.TemporaryDirectory(prefix="ray-") as folder,
        process([*head, f"--temp-dir={folder}"], tmp_path / "head.log", **quiet),
    ):
        wait_until(lambda: _answers("127.0.0.2", port), 60, "Ray's head")
        with process(worker, tmp_path / "worker.log", **quiet):
            ray.init(
                address=f"127.0.0.2:{port}", _node_ip_address="127.0.0.2", log_to_driver=False, logging_level="ERROR"
            )
            try:
                wait_until(lambda: ray.cluster_resources().get("CPU", 0) >= 2, 60, "Ray's second node")

                @ray.remote(num_cpus=1)
                class Namer:
                    def name(self, sequence: str) -> tuple[str, str]:
                        return ray.get_runtime_context().get_node_id(), sequence.upper()

                actors = [Namer.remote() for _ in range(2)]
                answers = ray.get([actor.name.remote(MRSequence.FLAIR) for actor in actors], timeout=60)
                assert len({node_id for node_id, _ in answers}) == 2
                assert {name for _, name in answers} == {"FLAIR"}
            finally:
                ray.shutdown()


def _answers(host: str, port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0
