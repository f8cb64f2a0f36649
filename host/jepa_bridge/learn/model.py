"""The JEPA as torch modules; reads top to bottom. The graphs that are exported are these: trained, planned, served.

An embedding is the robot's whole state, so the predictor is stateless and calling it step after step is the rollout:

    | position 2 | heading 2 | memory 8 | place 8 | local code D - 20 |
      x, y in m    cos, sin    x 0.02     in m      what the ranges say: a point on a sphere
                   x 0.1                            of radius 0.2

* Scale is meaning. Distance in the embedding is metres to go; turning round counts 0.2 m, wholly different
  surroundings 0.4 m at most. A goal without heading or ranges has zeros there: every heading and every place is then
  equally far from it, and only the way to go decides.
* The predictor never sees position or heading. It predicts a twist in the robot's own frame, which moves the pose by
  plain geometry: what it learned in one corner holds in every corner and in rooms it never saw.
* Place is zero until the model has lived in one place (`retrain --place`). There it lifts the floor out of the plane,
  so that two positions with a wall between them lie as far apart as the way around it is long; see learn/wayfinding.py.
* Memory is what a rollout knows beyond the contract's vector: how fast the wheels turn by now, how far ahead it is
  guessing. The encoder leaves it zero: nothing known. Whoever knows the wheels' speeds at the start writes them into
  its first three numbers (`with_motion` here, `World.start` when driving): a robot that spins takes most of a step to
  stop, and from ranges and pose alone nobody can tell.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from jepa_bridge.world.vector import POSITION_SCALE_M, RANGES, READOUT_SIZE, VECTOR_SIZE

HEADING_SCALE_M = 0.1
LOCAL_SCALE_M = 0.2
MEMORY_SCALE_M = 0.02  # memory must not be mistaken for way to go
MEMORY = 8
MOTION = 3  # of them: 1 if the wheels' speeds are known, left, right in units of full speed
PLACE = 8
LIFT_WAVES_M = (10.0, 5.0, 2.5, 1.25)  # of the periodic features of x and y
LIFT_HIDDEN = 64
POSE = 4
LOCAL = POSE + MEMORY + PLACE  # where the local code begins
NEAR = 16.0  # 1 / (12 cm as a fraction of 2 m): the second look at a range, sharp where collisions happen
STEP_M = 0.1  # full speed (0.5 m/s) for one step
TWIST = 3  # forward, left, turn, in steps at full speed
TAIL = TWIST + 1  # of what a step says besides the next memory and code: twist, and the confidence's logit
WIRE_BIAS = 1.5  # memory and actions stay within about -1..1
TURN_RAD = 1.25  # opposite wheels at full speed for one step: 2 * 0.1 m / 0.16 m


@dataclass(frozen=True, slots=True)
class Tier:
    """Widths of one size. Encoder and predictor together hold about 50K, 200K, 800K parameters."""

    embedding_dim: int
    encoder_hidden: int
    predictor_hidden: int
    readout_hidden: int


# the encoder runs twice a plan, the predictor 3,200 times: it gets the smaller part
TIERS = {
    "tiny": Tier(64, 96, 128, 48),
    "small": Tier(128, 320, 128, 64),
    "medium": Tier(256, 512, 384, 128),
}


class Lift(nn.Module):
    """Position [B, 2] in metres -> place [B, 8] in metres: what a model knows of ways in the place it lives in."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("turns", 2.0 * torch.pi / torch.tensor(LIFT_WAVES_M))
        self.turns: Tensor
        features = 2 + 4 * len(LIFT_WAVES_M)
        self.mlp = nn.Sequential(
            nn.Linear(features, LIFT_HIDDEN),
            nn.SiLU(),
            nn.Linear(LIFT_HIDDEN, LIFT_HIDDEN),
            nn.SiLU(),
            nn.Linear(LIFT_HIDDEN, PLACE),
        )

    def forward(self, position: Tensor) -> Tensor:
        """[B, 2] -> [B, 8]."""
        return self.mlp(waves(position, self.turns))  # type: ignore[no-any-return]


class Encoder(nn.Module):
    """Contract vector [B, 11] -> embedding [B, D]; UNKNOWN (-1) ranges are replaced by learned values."""

    def __init__(self, tier: Tier) -> None:
        super().__init__()
        hidden = tier.encoder_hidden
        self.width = tier.embedding_dim - LOCAL
        self.lift: Lift | None = None
        self.unknown_range = nn.Parameter(torch.full((RANGES,), 0.5))
        self.mlp = nn.Sequential(
            nn.Linear(3 * RANGES, hidden),
            nn.SiLU(),
            nn.Linear(hidden, hidden),
            nn.SiLU(),
            nn.Linear(hidden, self.width),
        )

    def local(self, ranges: Tensor) -> Tensor:
        """Contract ranges [..., 8] -> local code [..., L] with unit variance across L; zero if nothing is known."""
        known = (ranges >= 0.0).to(ranges.dtype)
        filled = known * ranges + (1.0 - known) * self.unknown_range
        code = self.mlp(torch.cat((filled, torch.exp(-NEAR * filled), known), dim=-1))
        any_known = known.amax(dim=-1, keepdim=True)
        return any_known * on_sphere(code, self.width)

    def forward(self, vector: Tensor) -> Tensor:
        """[B, 11] -> [B, D]."""
        code = self.local(vector[:, :RANGES])
        position = vector[:, RANGES : RANGES + 2] * POSITION_SCALE_M
        turn = vector[:, RANGES + 2 : VECTOR_SIZE]  # [B, 1] in [0, 1) or UNKNOWN
        known = (turn >= 0.0).to(turn.dtype)
        angle = turn * (2.0 * torch.pi)
        heading = known * torch.cat((torch.cos(angle), torch.sin(angle)), dim=1)
        memory = torch.zeros_like(vector[:, :MEMORY])
        place = torch.zeros_like(vector[:, :PLACE]) if self.lift is None else self.lift(position)
        return join(position, heading, memory, place, code)


class Predictor(nn.Module):
    """Embedding and action [B, D + 2] -> embedding [B, D] one step later, and the confidence in it [B, 1].

    A plan takes this step 3,200 times in a row of ten, so it is made for that: three products, no normalisation, and
    an activation that a product does in passing. What changes is learned; what stays is carried over.
    """

    def __init__(self, tier: Tier) -> None:
        super().__init__()
        dim, hidden = tier.embedding_dim, tier.predictor_hidden
        code = dim - LOCAL
        self.dim = dim
        self.lift: Lift | None = None
        self.enter = nn.Linear(MEMORY + code + 2, hidden)
        self.deepen = nn.Linear(hidden, hidden)
        # as [in, out] and without a bias, for which a constant unit stands: then what is kept is the product's summand
        self.leave = nn.Parameter(nn.Linear(code + MEMORY + TAIL, hidden).weight.detach())
        self._wire()

    def _wire(self) -> None:
        """Begin with straight wires for memory and action, in which motion is nearly linear, and with one constant.

        A unit with a bias is linear as long as what it carries stays above minus the bias. Training may bend it.
        """
        carried = torch.cat((torch.arange(MEMORY), torch.arange(-2, 0)))  # memory comes first, the action last
        wires, constant = torch.arange(len(carried)), len(carried)
        with torch.no_grad():
            for layer, inputs, bias in ((self.enter, carried, WIRE_BIAS), (self.deepen, wires, 0.0)):
                layer.weight[: constant + 1] = 0.0
                layer.weight[wires, inputs] = 1.0
                layer.bias[wires] = bias
                layer.bias[constant] = 1.0
            self.leave.mul_(0.1)
            self.leave[constant] = -WIRE_BIAS * self.leave[wires].sum(dim=0)

    def forward(self, joined: Tensor) -> tuple[Tensor, Tensor]:
        """[B, D + 2] -> [B, D], [B, 1]."""
        embedding, action = joined[:, : self.dim], joined[:, self.dim :]
        position, heading, memory, place, code = split(embedding)
        memory, code, twist, sure = self.step(memory, code, action)
        position, heading = move(position, heading, twist)
        place = place if self.lift is None else self.lift(position)
        return join(position, heading, memory, place, code), torch.sigmoid(sure)

    def step(self, memory: Tensor, code: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Memory [B, 8], code [B, L], action [B, 2] -> both one step later, twist [B, 3], confidence's logit [B, 1].

        This is all that a rollout must do in order, step after step: nothing in it depends on where the robot is.
        """
        hidden = functional.relu(self.enter(torch.cat((memory, code, action), dim=1)))  # [B, hidden]
        hidden = functional.relu(self.deepen(hidden))
        kept = functional.pad(torch.cat((memory, code), dim=1), (0, TAIL))
        width = self.dim - LOCAL  # not from the traced shape: the exporter would lose it
        memory, code, twist, sure = torch.split(torch.addmm(kept, hidden, self.leave), [MEMORY, width, TWIST, 1], dim=1)
        return memory, code, twist, sure


class Readout(nn.Module):
    """Embedding [B, D] -> observation [B, 12]: 8 ranges / 2 m, x / 5 m, y / 5 m, cosine and sine of the heading.

    The pose is read off exactly; only the ranges are learned. They may leave 0..1 a little: callers clip.
    """

    def __init__(self, tier: Tier) -> None:
        super().__init__()
        self.ranges = nn.Sequential(
            nn.Linear(tier.embedding_dim - LOCAL, tier.readout_hidden),
            nn.ReLU(),
            nn.Linear(tier.readout_hidden, RANGES),
        )

    def forward(self, embedding: Tensor) -> Tensor:
        """[B, D] -> [B, 12]."""
        position, heading, _, _, code = split(embedding)
        observation = torch.cat((self.ranges(code), position / POSITION_SCALE_M, heading), dim=1)
        assert observation.shape[1] == READOUT_SIZE
        return observation


class InverseDynamics(nn.Module):
    """Local codes before and after [B, 2L] -> the action between [B, 2]. Only training uses it.

    It keeps in the code what actions change; without it a code may settle on what is easy to predict (EB-JEPA).
    """

    def __init__(self, tier: Tier) -> None:
        super().__init__()
        code = tier.embedding_dim - LOCAL
        self.mlp = nn.Sequential(nn.Linear(2 * code, 64), nn.SiLU(), nn.Linear(64, 2))

    def forward(self, before: Tensor, after: Tensor) -> Tensor:
        """[B, L], [B, L] -> [B, 2]."""
        return self.mlp(torch.cat((before, after), dim=1))  # type: ignore[no-any-return]


class WorldModule(nn.Module):
    """Everything that is trained together. encoder, predictor and readout are the bundle's three graphs."""

    def __init__(self, tier: str) -> None:
        super().__init__()
        sizes = TIERS[tier]
        self.tier = tier
        self.embedding_dim = sizes.embedding_dim
        self.encoder = Encoder(sizes)
        self.predictor = Predictor(sizes)
        self.readout = Readout(sizes)
        self.inverse = InverseDynamics(sizes)

    def live(self, lift: Lift | None) -> None:
        """From now on know the ways of one place, or of none; encoder and predictor share what they know."""
        self.encoder.lift = self.predictor.lift = lift

    def rollout(self, start: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Start [B, D], actions [B, H, 2] -> embeddings [H, B, D], confidence [H, B]."""
        embeddings, confidences = [], []
        current = start
        for step in range(actions.shape[1]):
            current, confidence = self.predictor(torch.cat((current, actions[:, step]), dim=1))
            embeddings.append(current)
            confidences.append(confidence[:, 0])
        return torch.stack(embeddings), torch.stack(confidences)


def move(position: Tensor, heading: Tensor, twist: Tensor) -> tuple[Tensor, Tensor]:
    """Position [B, 2], heading (cos, sin) [B, 2], twist [B, 3] in the robot's own frame -> both one step later."""
    forward, left, turn = STEP_M * twist[:, 0:1], STEP_M * twist[:, 1:2], TURN_RAD * twist[:, 2:3]
    cosine, sine = heading[:, 0:1], heading[:, 1:2]
    position = position + torch.cat((cosine * forward - sine * left, sine * forward + cosine * left), dim=1)
    cos_turn, sin_turn = torch.cos(turn), torch.sin(turn)
    return position, torch.cat((cosine * cos_turn - sine * sin_turn, sine * cos_turn + cosine * sin_turn), dim=1)


def on_sphere(code: Tensor, width: int) -> Tensor:
    """[..., L] -> zero mean and unit variance across L = `width`: a distance between codes has a fixed scale.

    The width is given because the exporter cannot take it from a traced shape.
    """
    return functional.layer_norm(code, (width,))


def waves(position: Tensor, turns: Tensor) -> Tensor:
    """Position [B, 2] in metres, radians per metre [W] -> [B, 2 + 4 W]: periodic features, for walls are thin."""
    x, y = position[:, 0:1] * turns, position[:, 1:2] * turns
    periodic = (torch.sin(x), torch.cos(x), torch.sin(y), torch.cos(y))
    return torch.cat((position / POSITION_SCALE_M - 0.5, *periodic), dim=1)


def join(position: Tensor, heading: Tensor, memory: Tensor, place: Tensor, code: Tensor) -> Tensor:
    """Parts in their own units -> embedding [..., D] in metres; see the module's docstring for the scales."""
    spread = LOCAL_SCALE_M / float(code.shape[-1]) ** 0.5
    return torch.cat((position, heading * HEADING_SCALE_M, memory * MEMORY_SCALE_M, place, code * spread), dim=-1)


def split(embedding: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The inverse of `join`: position [..., 2], (cos, sin) [..., 2], memory [..., 8], place [..., 8], code [..., L]."""
    code = embedding[..., LOCAL:]
    spread = LOCAL_SCALE_M / float(code.shape[-1]) ** 0.5
    return (
        embedding[..., :2],
        embedding[..., 2:POSE] / HEADING_SCALE_M,
        embedding[..., POSE : POSE + MEMORY] / MEMORY_SCALE_M,
        embedding[..., POSE + MEMORY : LOCAL],
        code / spread,
    )


def with_motion(embedding: Tensor, motion: Tensor) -> Tensor:
    """Encoder's embedding [B, D] and motion [B, 3] (known, left, right in units of full speed) -> embedding [B, D]."""
    return torch.cat((embedding[:, :POSE], motion * MEMORY_SCALE_M, embedding[:, POSE + MOTION :]), dim=1)


def parameter_counts(module: WorldModule) -> dict[str, int]:
    """Parameters of each part; encoder and predictor are what the tiers promise."""
    return {
        name: sum(parameter.numel() for parameter in getattr(module, name).parameters())
        for name in ("encoder", "predictor", "readout")
    }
