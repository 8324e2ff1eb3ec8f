"""A client of the service that shares nothing with it but proto/: submits a job, watches it, downloads the adapter.

Usage: foreign_client.py PROTO_DIR HOST:PORT DATA.jsonl OUT_DIR
Prints one JSON object: the job id, its states in order, the last step and the files that were downloaded.
"""
import hashlib
import importlib
import json
import pathlib
import sys
import tempfile

import grpc
import grpc_tools
from grpc_tools import protoc

CHUNK_BYTES = 1 << 20


def load_stubs(proto_dir):
    """Generates Python code from the .proto files and imports it."""
    out = tempfile.mkdtemp()
    protos = sorted(str(p.relative_to(proto_dir)) for p in pathlib.Path(proto_dir).glob("dropbp/v1/*.proto"))
    well_known = pathlib.Path(grpc_tools.__file__).parent / "_proto"
    arguments = ["protoc", f"-I{proto_dir}", f"-I{well_known}", f"--python_out={out}", f"--grpc_python_out={out}"]
    assert protoc.main(arguments + protos) == 0
    sys.path.insert(0, out)
    names = ["jobs_pb2", "job_spec_pb2", "jobs_service_pb2", "jobs_service_pb2_grpc", "artifacts_pb2", "artifacts_pb2_grpc"]
    return [importlib.import_module(f"dropbp.v1.{name}") for name in names]


def upload(stub, messages, jobs, path):
    content = path.read_bytes()
    header = jobs.Artifact(name=path.name, sha256=hashlib.sha256(content).hexdigest(), size_bytes=len(content))

    def parts():
        yield messages.UploadFileRequest(header=header)
        for begin in range(0, len(content), CHUNK_BYTES):
            yield messages.UploadFileRequest(chunk=content[begin : begin + CHUNK_BYTES])

    return stub.UploadFile(parts()).sha256


def download(stub, messages, artifact, folder):
    request = messages.DownloadFileRequest(sha256=artifact.sha256)
    content = b"".join(part.chunk for part in stub.DownloadFile(request))
    assert hashlib.sha256(content).hexdigest() == artifact.sha256
    (folder / artifact.name).write_bytes(content)


def check_refusal(stub, service, spec):
    """A bad job is refused with the field's name in the structured details."""
    try:
        stub.CreateJob(service.CreateJobRequest(spec=spec))
    except grpc.RpcError as error:
        details = dict(error.trailing_metadata())["grpc-status-details-bin"]
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT, error
        assert b"training.steps" in details and b"google.rpc.BadRequest" in details, details
        return
    raise AssertionError("a job with steps = -1 was accepted")


def main():
    proto_dir, address, data, out = sys.argv[1:]
    jobs, specs, service, service_grpc, messages, artifacts_grpc = load_stubs(proto_dir)
    folder = pathlib.Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    with grpc.insecure_channel(address) as channel:
        job_stub = service_grpc.JobServiceStub(channel)
        file_stub = artifacts_grpc.ArtifactServiceStub(channel)
        spec = specs.JobSpec(
            model="tiny",
            dataset=specs.DatasetSpec(artifact=upload(file_stub, messages, jobs, pathlib.Path(data)), max_length=64),
            lora=specs.LoraSpec(rank=4),
            training=specs.TrainingSpec(steps=-1, global_batch_size=8, micro_batch_size=2),
            resources=specs.ResourcesSpec(ranks=2, device=specs.ResourcesSpec.CPU),
        )
        check_refusal(job_stub, service, spec)
        spec.training.steps = 20
        job = job_stub.CreateJob(service.CreateJobRequest(job_id="foreign", spec=spec, request_id="foreign-1"))
        states, last_step = [], 0
        for event in job_stub.WatchJob(service.WatchJobRequest(job_id=job.job_id)):
            state = jobs.Job.State.Name(event.state)
            if not states or states[-1] != state:
                states.append(state)
            last_step = max(last_step, event.progress.step)
        job = job_stub.GetJob(service.GetJobRequest(job_id=job.job_id))
        for artifact in job.artifacts:
            download(file_stub, messages, artifact, folder)
    files = sorted(path.name for path in folder.iterdir())
    print(json.dumps({"job_id": job.job_id, "states": states, "last_step": last_step, "files": files}))


if __name__ == "__main__":
    main()
