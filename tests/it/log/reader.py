"""Reads a topic of a Millstream data directory, from src/log/FORMAT.md alone, and compares it with an Arrow file.

usage: reader.py DATA_DIRECTORY TOPIC EXPORTED.arrow

The file has the topic's columns and then _partition, _offset and _timestamp. Prints the number of rows, or says what differs.
"""

import json
import os
import struct
import sys

import pyarrow as pa

TABLE = []
for byte in range(256):
    crc = byte
    for _ in range(8):
        crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    TABLE.append(crc)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def message(flatbuffer):
    """An encapsulated message: as it stands in a frame."""
    padded = flatbuffer + b"\0" * (-len(flatbuffer) % 8)
    return b"\xff\xff\xff\xff" + struct.pack("<i", len(padded)) + padded


def topic_of(data, name):
    with open(os.path.join(data, "FORMAT")) as file:
        assert file.read() == "millstream 1\n"
    for folder in os.listdir(os.path.join(data, "topics")):
        path = os.path.join(data, "topics", folder)
        if folder.endswith(".deleted") or not os.path.exists(os.path.join(path, "topic.json")):
            continue
        with open(os.path.join(path, "topic.json")) as file:
            described = json.load(file)
        assert described["version"] == 1
        topic = described["topic"]
        text = json.dumps(topic, separators=(",", ":"), ensure_ascii=False)
        assert described["crc32c"] == f"{crc32c(text.encode()):08x}", "the checksum of topic.json"
        if topic["name"] == name:
            schema = pa.ipc.read_schema(pa.py_buffer(message(bytes.fromhex(topic["schema"]))))
            return path, topic, schema
    raise SystemExit(f"there is no topic {name}")


def tail_of(partition):
    with open(os.path.join(partition, "tail"), "rb") as file:
        data = file.read(1024)
    slots = []
    for at in (0, 512):
        slot = data[at : at + 92]
        if slot[:4] == b"MSTL" and slot[4] == 1 and struct.unpack_from("<I", slot, 88)[0] == crc32c(slot[:88]):
            names = ("sequence", "segment", "written", "next", "durable", "durable_bytes", "start")
            slots.append(dict(zip(names, struct.unpack_from("<7Q", slot, 8))))
    return max(slots, key=lambda slot: slot["sequence"])


def frames_of(partition, tail):
    """Each frame of a partition: header fields and body."""
    bases = sorted(int(name[:-4]) for name in os.listdir(partition) if name.endswith(".log"))
    offset = tail["start"]
    epoch = 0
    for base in bases:
        if base < offset or base > tail["segment"]:
            continue
        assert base == offset, f"the segment of {offset} is missing"
        with open(os.path.join(partition, f"{base:020}.log"), "rb") as file:
            data = file.read()
        end = tail["written"] if base == tail["segment"] else len(data)
        at = 0
        while at < end:
            header = data[at : at + 96]
            assert header[:4] == b"MSFR" and header[4] == 1
            names = ("flags", "length", "header_crc", "body_crc", "rows", "base")
            frame = dict(zip(names, struct.unpack_from("<HIIIIQ", header, 6)))
            names = ("watermark", "least", "greatest", "appended", "epoch", "marks")
            frame.update(zip(names, struct.unpack_from("<4qII", header, 56)))
            assert crc32c(header[:12] + header[16:]) == frame["header_crc"], "the checksum of a header"
            body = data[at + 96 : at + 96 + frame["length"]]
            assert crc32c(body) == frame["body_crc"], "the checksum of a body"
            assert frame["base"] == offset and frame["epoch"] >= epoch and not frame["flags"] & ~63
            frame["end"], frame["offsets"] = frame["base"] + frame["rows"], 0
            if frame["flags"] & 16:
                frame["end"], frame["offsets"] = struct.unpack_from("<QI", header, 32)
            if not frame["flags"] & 4:
                frame["marks"] = 0
            yield frame, body
            offset, epoch, at = frame["end"], frame["epoch"], at + 96 + frame["length"]
    assert offset == tail["next"], f"the frames end at {offset}, not at {tail['next']}"


def checked(body, columns, beside):
    """A body without the checksums of its parts: those that can be told without Arrow's metadata are right."""
    length = -(-4 * (columns + 3) // 16) * 16
    body, checks = body[:-length], body[-length:]
    crcs = struct.unpack_from(f"<{columns + 3}I", checks)
    assert crcs[-1] == crc32c(checks[: 4 * (columns + 2)]), "the checksum of the checksums"
    assert crcs[0] == crc32c(body[: 8 + struct.unpack_from("<i", body, 4)[0]]), "the checksum of the metadata"
    assert crcs[-2] == crc32c(body[len(body) - beside :]), "the checksum of marks and offsets"
    return body


def rows_of(partition, schema):
    """The rows of a partition with their offsets and the times at which they were appended."""
    tail = tail_of(partition)
    for frame, body in frames_of(partition, tail):
        if frame["flags"] & 32:
            body = checked(body, len(schema), frame["offsets"] + frame["marks"])
        rows_end = len(body) - frame["offsets"] - frame["marks"]
        batch = pa.ipc.read_record_batch(pa.py_buffer(body[:rows_end]), schema)
        assert batch.num_rows == frame["rows"]
        if frame["marks"]:
            marks = pa.schema([pa.field("mark", pa.int64())])
            column = pa.ipc.read_record_batch(pa.py_buffer(body[rows_end : rows_end + frame["marks"]]), marks)
            assert column.num_rows == frame["rows"]
        offsets = list(range(frame["base"], frame["end"]))
        if frame["flags"] & 16:
            column = pa.schema([pa.field("offset", pa.uint64(), nullable=False)])
            offsets = pa.ipc.read_record_batch(pa.py_buffer(body[-frame["offsets"] :]), column)[0].to_pylist()
        yield batch, offsets, frame["appended"]


def main():
    data, name, exported = sys.argv[1:]
    path, topic, schema = topic_of(data, name)
    expected = pa.ipc.open_file(exported).read_all()
    read = 0
    for p in range(topic["partitions"]):
        partition = os.path.join(path, str(p))
        if not os.path.isdir(partition):
            continue
        found = {name: [] for name in schema.names}
        offsets, times = [], []
        for batch, at, appended in rows_of(partition, schema):
            for field in schema.names:
                found[field].extend(batch.column(field).to_pylist())
            offsets.extend(at)
            times.extend([appended] * batch.num_rows)
        want = expected.filter(pa.compute.equal(expected["_partition"], p))
        assert offsets == want["_offset"].to_pylist(), f"the offsets of partition {p}"
        assert times == want["_timestamp"].cast(pa.int64()).to_pylist(), f"the times of partition {p}"
        for field in schema.names:
            assert found[field] == want[field].to_pylist(), f"the column {field} of partition {p}"
        read += len(offsets)
    assert read == expected.num_rows, f"{read} rows here, {expected.num_rows} in the file"
    print(read)


if __name__ == "__main__":
    import pyarrow.compute  # noqa: F401

    main()
