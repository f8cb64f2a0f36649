from __future__ import annotations

import io
import os
import random

import pytest
from mcap.reader import make_reader
from mcap.stream_reader import StreamReader
from record_helpers import create, plain_messages, record_chunks

from jepa_bridge.errors import BridgeError, Exit
from jepa_bridge.record import read_log, recover, summarise, writer


@pytest.fixture(scope="module")
def many_chunks(tmp_path_factory):
    """A closed log of 12 chunks, and the messages in it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer, "FLUSH_S", 0.02)
        path, count = record_chunks(tmp_path_factory.mktemp("logs"), 12)
    assert len(plain_messages(path)) == count
    return path


def chunk_ends(path):
    """Where each chunk of a whole log ends, and how many messages come before: from mcap's index, not from our scan."""
    with path.open("rb") as stream:
        summary = make_reader(stream).get_summary()
        ends, count = [], 0
        for index in summary.chunk_indexes:
            stream.seek(index.chunk_start_offset)
            chunk = stream.read(index.chunk_length)
            reader = StreamReader(io.BytesIO(chunk), skip_magic=True)
            try:
                for record in reader.records:
                    count += type(record).__name__ == "Message"
            except Exception:  # the end of the chunk is the end of this stream
                pass
            ends.append((index.chunk_start_offset + index.chunk_length, count))
    return ends


def test_torn_anywhere_loses_only_the_tail_and_recovers(many_chunks, tmp_path):
    whole = many_chunks.read_bytes()
    full = list(read_log(many_chunks).records())
    ends = chunk_ends(many_chunks)
    assert len(ends) >= 12
    rng = random.Random(1)
    cuts = {*range(60), *rng.sample(range(60, len(whole)), 250), len(whole) - 1}
    cuts |= {end + delta for end, _ in ends for delta in (-1, 0, 1)}
    for cut in sorted(cuts):
        torn = tmp_path / "torn.mcap"
        torn.write_bytes(whole[:cut])
        log = read_log(torn)
        records = list(log.records())
        expected = max((count for end, count in ends if end <= cut), default=0)
        assert records == full[:expected], cut
        assert log.torn, cut
        assert log.bytes_lost < 20_000
        assert log.refused == 0
        if cut % 7 == 0 or cut < 20:
            out = tmp_path / f"recovered-{cut}.mcap"
            done = recover(torn, out)
            assert (done.messages, done.was_torn, done.refused) == (expected, True, 0)
            assert torn.read_bytes() == whole[:cut]
            again = read_log(out)
            assert not again.torn
            if cut > 1000:  # its metadata, and with them the exact times, came over too
                assert list(again.records()) == records
                assert again.metadata["run"] == {"uid": "a1b2c3d4"}
            with out.open("rb") as stream:
                summary = make_reader(stream, validate_crcs=True).get_summary()
            assert summary.statistics.message_count == expected
            assert len(plain_messages(out)) == expected


def test_recovery_keeps_times_sequences_schemas_and_metadata(many_chunks, tmp_path):
    out = tmp_path / "out.mcap"
    recover(many_chunks, out)

    def content(path):
        with path.open("rb") as stream:
            reader = make_reader(stream, validate_crcs=True)
            messages = [
                (c.topic, c.message_encoding, schema, message)
                for schema, c, message in reader.iter_messages(log_time_order=False)
            ]
            return messages, {r.name: r.metadata for r in reader.iter_metadata()}

    messages, metadata = content(out)
    expected_messages, expected_metadata = content(many_chunks)
    assert messages == expected_messages
    recovery = metadata.pop("recovery")
    assert metadata == expected_metadata
    assert recovery == {"source": many_chunks.name, "bytes_lost": "0", "refused": "0"}


def test_recovery_overwrites_nothing_and_leaves_no_half_file(many_chunks, tmp_path):
    (tmp_path / "there.mcap").write_bytes(b"precious")
    for source, out, code in [
        (many_chunks, tmp_path / "there.mcap", "log-exists"),
        (many_chunks, many_chunks, "log-exists"),
        (many_chunks, tmp_path / "no" / "such" / "folder.mcap", "log-directory"),
        (tmp_path / "missing.mcap", tmp_path / "a.mcap", "log-missing"),
        (tmp_path / "there.mcap", tmp_path / "b.mcap", "log-unreadable"),
    ]:
        with pytest.raises(BridgeError) as caught:
            recover(source, out)
        assert caught.value.code == code
        assert caught.value.status == Exit.LOG
    assert sorted(p.name for p in tmp_path.iterdir()) == ["there.mcap"]
    assert (tmp_path / "there.mcap").read_bytes() == b"precious"


def test_a_damaged_chunk_is_refused_and_the_others_are_read(many_chunks, tmp_path):
    whole = bytearray(many_chunks.read_bytes())
    full = list(read_log(many_chunks).records())
    ends = chunk_ends(many_chunks)
    with many_chunks.open("rb") as stream:
        index = make_reader(stream).get_summary().chunk_indexes[5]
    whole[index.chunk_start_offset + index.chunk_length - 10] ^= 0x40
    damaged = tmp_path / "damaged.mcap"
    damaged.write_bytes(whole)
    log = read_log(damaged)
    assert list(log.records()) == full[: ends[4][1]] + full[ends[5][1] :]
    assert log.refused == 1
    assert not log.torn
    assert summarise(log).refused == 1


def test_no_damage_makes_reading_raise(many_chunks, tmp_path):
    whole = many_chunks.read_bytes()
    full = set(read_log(many_chunks).records())
    rng = random.Random(2)
    damaged = tmp_path / "damaged.mcap"
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(rng.choice((1, 1, 1, 8))):
            at = rng.randrange(8, len(data))
            data[at] = rng.choice((0, 0xFF, rng.randrange(256), data[at] ^ 1 << rng.randrange(8)))
        damaged.write_bytes(data)
        log = read_log(damaged)
        got = list(log.records())
        if log.metadata == read_log(many_chunks).metadata:  # a damaged time offset shifts times, no more
            assert {(r.channel, r.data) for r in got} <= {(r.channel, r.data) for r in full}
        summarise(log)
    # noise behind a good beginning
    for size in (1, 9, 100, 5000):
        damaged.write_bytes(whole[:3000] + rng.randbytes(size))
        list(read_log(damaged).records())
        damaged.write_bytes(whole[:8] + rng.randbytes(size))
        list(read_log(damaged).records())


def test_zeros_that_a_power_cut_leaves_are_a_torn_tail(many_chunks, tmp_path):
    ends = chunk_ends(many_chunks)
    cut, count = ends[6]
    path = tmp_path / "zeros.mcap"
    path.write_bytes(many_chunks.read_bytes()[:cut] + bytes(100_000))
    log = read_log(path)
    assert (log.torn, log.bytes_lost) == (True, 100_000)
    assert len(list(log.records())) == count


def test_a_length_that_lies_does_not_fill_the_memory(tmp_path):
    path = tmp_path / "bomb.mcap"
    with create(tmp_path, name="bomb-source") as recorder:
        recorder.frame("device", b"x", 1)
    data = recorder.path.read_bytes()
    # a chunk that claims 2^62 bytes when unpacked, and a sparse record of 2 GiB in front of the rest
    chunk = b"".join((bytes(16), (2**62).to_bytes(8, "little"), bytes(4), (4).to_bytes(4, "little"), b"zstd", bytes(8)))
    head = data[:8] + b"\x06" + len(chunk).to_bytes(8, "little") + chunk
    with path.open("wb") as file:
        file.write(head + b"\x0c" + (2**31).to_bytes(8, "little"))
        file.seek(2**31, os.SEEK_CUR)
        file.write(data[8:])
    log = read_log(path)
    assert [r.data for r in log.records()] == [b"x"]
    assert log.refused == 2
    path.unlink()


@pytest.mark.parametrize("content", [b"hello, not a log\n", b"\x89PNG\r\n\x1a\n" + bytes(50), b"\x89M"])
def test_another_file_is_not_a_log(tmp_path, content):
    path = tmp_path / "file"
    path.write_bytes(content)
    if content == b"\x89M":  # the beginning of a log, and nothing more
        assert read_log(path).torn
        return
    with pytest.raises(BridgeError) as caught:
        read_log(path)
    assert (caught.value.code, caught.value.status) == ("log-unreadable", Exit.LOG)


def test_missing_and_directory(tmp_path):
    for path, code in [(tmp_path / "none.mcap", "log-missing"), (tmp_path, "log-unreadable")]:
        with pytest.raises(BridgeError) as caught:
            read_log(path)
        assert (caught.value.code, caught.value.status) == (code, Exit.LOG)


def test_a_log_can_be_read_while_it_grows(tmp_path, monkeypatch):
    monkeypatch.setattr(writer, "FLUSH_S", 0.01)
    with create(tmp_path) as recorder:
        for index in range(1000):
            recorder.frame("device", index.to_bytes(2, "big"), index)
            if index % 50 == 0:
                log = read_log(recorder.path)
                assert log.torn
                got = [r.t_us for r in log.records()]
                assert got == list(range(len(got)))
    assert len(list(read_log(recorder.path).records())) == 1000
