"""A model bundle: encoder, predictor and readout under the contract's names, verified before anything is run.

world = load_named("small")
embedding = world.encode(observation_vector(observation)[None])        # [1, D]
embedding, confidence = world.predict(embedding, [[0.5, 0.5]])         # 0.2 s later; again and again: a rollout
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from jepa_bridge.errors import BridgeError, Exit
from jepa_bridge.resources import shipped
from jepa_bridge.world.card import CARD, MODEL_FILES, WAY_FILE, Card
from jepa_bridge.world.device import CPU, ONE_THREAD, Device
from jepa_bridge.world.vector import READOUT_SIZE, VECTOR_SIZE, FloatArray, observation_vector

if TYPE_CHECKING:
    import onnxruntime

    from jepa_bridge.types import Observation

WHEEL_SPEED_M_S = 0.5  # full speed: the unit of wheel speeds in an embedding


class WorldModel(Protocol):
    """What a planner needs of a world model; all arrays float32, B free."""

    @property
    def embedding_dim(self) -> int:
        """D."""

    def encode(self, vectors: FloatArray) -> FloatArray:
        """[B, 11] -> [B, D]."""

    def start(self, observation: Observation) -> FloatArray:
        """[1, D] to begin a rollout at: all that is known, wheel speeds too."""

    def predict(self, embeddings: FloatArray, actions: FloatArray) -> tuple[FloatArray, FloatArray]:
        """[B, D], [B, 2] -> the embeddings one step later [B, D], confidence [B, 1] in 0..1."""

    def readout(self, embeddings: FloatArray) -> FloatArray:
        """[B, D] -> [B, 12]: 8 ranges / 2 m, x / 5 m, y / 5 m, cosine and sine of the heading."""


@runtime_checkable
class Lived(Protocol):
    """What a world model that learned one place has beyond that."""

    @property
    def knows_the_way(self) -> bool:
        """Whether `way_to_go` can be asked."""

    def way_to_go(self, embeddings: FloatArray, goal: FloatArray) -> FloatArray:
        """[B, D], goal [1, D] -> metres to go [B]."""


class World:
    """A loaded bundle: onnxruntime on one CPU thread, so that the same inputs give the same bits."""

    def __init__(self, path: Path, card: Card, sessions: dict[str, onnxruntime.InferenceSession]) -> None:
        self.path = path
        self.card = card
        self.hash = card.hash
        self._encoder = sessions["encoder.onnx"]
        self._predictor = sessions["predictor.onnx"]
        self._readout = sessions["readout.onnx"]
        self._way = sessions.get(WAY_FILE)
        self._planners: dict[tuple[str, Device], onnxruntime.InferenceSession] = {}

    @property
    def embedding_dim(self) -> int:
        """D, 64 to 256 by tier."""
        return self.card.embedding_dim

    @classmethod
    def load(cls, path: Path) -> World:
        """Verify the folder's format version, hashes and shapes, then load it."""
        card = read_card(path)
        names = (*MODEL_FILES, WAY_FILE) if WAY_FILE in card.files else MODEL_FILES
        for name in card.planners:  # verified now, loaded when one is asked for
            _verified(path / name, card.files[name])
        contents = {name: _verified(path / name, card.files[name]) for name in names}
        sessions = {name: session_of(content, str(path / name)) for name, content in contents.items()}
        dim = card.embedding_dim
        _check_shapes(sessions["encoder.onnx"], "encoder.onnx", {"input": VECTOR_SIZE}, {"embedding": dim})
        _check_shapes(
            sessions["predictor.onnx"], "predictor.onnx", {"input": dim + 2}, {"embedding": dim, "confidence": 1}
        )
        _check_shapes(sessions["readout.onnx"], "readout.onnx", {"embedding": dim}, {"observation": READOUT_SIZE})
        if WAY_FILE in sessions:
            _check_shapes(sessions[WAY_FILE], WAY_FILE, {"embedding": dim, "goal": dim}, {"metres": 1})
        return cls(path, card, sessions)

    def encode(self, vectors: FloatArray) -> FloatArray:
        """[B, 11] -> [B, D]."""
        (embedding,) = self._encoder.run(("embedding",), {"input": vectors})
        return embedding  # type: ignore[no-any-return]

    def start(self, observation: Observation) -> FloatArray:
        """[1, D]: the encoded observation, with the wheels' speeds that the contract's vector has no room for.

        `encode` leaves their place at zero, which means unknown; the predictor was trained on both.
        """
        embedding = self.encode(observation_vector(observation)[None])
        if self.card.motion is not None:
            column, scale = int(self.card.motion["column"]), self.card.motion["scale"]
            embedding[:, column : column + 3] = self.motion(observation) * np.float32(scale)
        return embedding

    def motion(self, observation: Observation) -> FloatArray:
        """[1, 3]: 1 if this model takes wheel speeds, left, right in units of full speed; else zeros."""
        if self.card.motion is None:
            return np.zeros((1, 3), np.float32)
        speeds = observation.left_m_s / WHEEL_SPEED_M_S, observation.right_m_s / WHEEL_SPEED_M_S
        return np.array(((1.0, *speeds),), np.float32)

    @property
    def planners(self) -> dict[str, dict[str, Any]]:
        """The compiled planners' files, and what each plans by."""
        return self.card.planners

    def planner_session(self, name: str, device: Device = ONE_THREAD) -> onnxruntime.InferenceSession:
        """The compiled planner of that name, loaded when it is first asked for."""
        if (name, device) not in self._planners:
            content = _verified(self.path / name, self.card.files[name])
            self._planners[name, device] = session_of(content, str(self.path / name), device)
        return self._planners[name, device]

    def predict(self, embeddings: FloatArray, actions: FloatArray) -> tuple[FloatArray, FloatArray]:
        """[B, D], [B, 2] -> [B, D], confidence [B, 1]; stateless, so repeating it is the rollout."""
        joined = np.concatenate((embeddings, actions), axis=1)
        embedding, confidence = self._predictor.run(("embedding", "confidence"), {"input": joined})
        return embedding, confidence

    def readout(self, embeddings: FloatArray) -> FloatArray:
        """[B, D] -> [B, 12]."""
        (observation,) = self._readout.run(("observation",), {"embedding": embeddings})
        return observation  # type: ignore[no-any-return]

    @property
    def knows_the_way(self) -> bool:
        """Whether this bundle learned a place: it has `waytogo.onnx`."""
        return self._way is not None

    def way_to_go(self, embeddings: FloatArray, goal: FloatArray) -> FloatArray:
        """[B, D], goal [1, D] -> metres to go [B], as learned from the drives in one place."""
        if self._way is None:
            raise _missing(self.path, WAY_FILE)
        goals = np.repeat(goal, len(embeddings), axis=0)
        (metres,) = self._way.run(("metres",), {"embedding": embeddings, "goal": goals})
        return metres[:, 0]  # type: ignore[no-any-return]


def load_named(name_or_path: str | Path) -> World:
    """A shipped bundle by its name (`small`), or any bundle by its folder."""
    return World.load(resolve(name_or_path))


def resolve(name_or_path: str | Path) -> Path:
    """The bundle's folder. A bare name means a shipped bundle unless only a folder of that name exists."""
    path = Path(name_or_path)
    if len(path.parts) == 1 and not path.is_absolute():
        named = shipped("models") / path
        if named.is_dir() or not path.is_dir():
            return named
    return path


def read_card(path: Path) -> Card:
    """The card of a bundle, without loading its graphs."""
    try:
        return Card.from_json((path / CARD).read_text(encoding="utf-8"))
    except OSError as error:
        raise _missing(path, CARD) from error
    except UnicodeDecodeError as error:
        raise _corrupt(f"{path / CARD} is not text: {error}") from error


def _verified(path: Path, expected: str) -> bytes:
    """The file's bytes, hashed and used in one read: nothing can slip in between."""
    import hashlib  # noqa: PLC0415  # only when a model is loaded

    try:
        content = path.read_bytes()
    except OSError as error:
        raise _missing(path.parent, path.name) from error
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise _corrupt(f"{path}: expected SHA-256 {expected[:16]}…, got {found[:16]}…")
    return content


def session_of(content: bytes, name: str, device: Device = ONE_THREAD) -> onnxruntime.InferenceSession:
    """A graph ready to run; `name` is for the error if it cannot."""
    import onnxruntime  # noqa: PLC0415  # 0.2 s that `jepa-bridge --help` need not pay

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = device.threads  # one sums in one order; and most graphs are too small to share
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # the other cores have work of their own
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.use_deterministic_compute = True
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(content, options, providers=list(dict.fromkeys((device.provider, CPU))))
    except Exception as error:  # its exceptions have no common base of their own
        raise BridgeError(
            "model-incompatible",
            f"onnxruntime {onnxruntime.__version__} cannot run {name}: {error}",
            "update onnxruntime, or export the bundle again",
            status=Exit.MODEL,
        ) from error


def _check_shapes(
    session: onnxruntime.InferenceSession, name: str, inputs: dict[str, int], outputs: dict[str, int]
) -> None:
    """Names and widths must be the contract's, the batch must be free: a fixed one would break the planner's batch."""
    for kind, expected, nodes in (
        ("input", inputs, session.get_inputs()),
        ("output", outputs, session.get_outputs()),
    ):
        found: dict[str, list[Any]] = {node.name: list(node.shape) for node in nodes}
        fits = set(found) == set(expected) and all(
            len(shape) == 2 and not isinstance(shape[0], int) and shape[1] == expected[key]
            for key, shape in found.items()
        )
        if not fits:
            wanted = ", ".join(f"{key} [B, {width}]" for key, width in expected.items())
            got = ", ".join(f"{key} {shape}" for key, shape in found.items())
            raise BridgeError(
                "model-incompatible",
                f"{name}: expected {kind} {wanted}, got {got}",
                "export the bundle again with this version of jepa-bridge",
                status=Exit.MODEL,
            )


def _missing(folder: Path, name: str) -> BridgeError:
    return BridgeError(
        "model-missing",
        f"there is no model bundle in {folder}: {name} cannot be read",
        "name a shipped bundle (small) or the folder that `jepa-bridge export` wrote",
        status=Exit.MODEL,
    )


def _corrupt(message: str) -> BridgeError:
    return BridgeError(
        "model-corrupt",
        message,
        "the file was changed or cut short after the card was written; fetch or export the bundle again",
        status=Exit.MODEL,
    )
