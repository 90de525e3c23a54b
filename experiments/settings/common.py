"""Settings that both trained stages share, with a docstring under each field."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from imaging.io.config import Settings
from imaging.settings import AugmentSettings, SamplingSettings

NETWORK = (
    "architecture",
    "attention",
    "base_channels",
    "classes",
    "contrast",
    "decoder_channels",
    "encoder",
    "encoder_from",
    "head",
    "models",
    "pretrained",
)
"""Settings that phases cannot change, since each phase continues with the network of the one before."""
PROCESSES = ("devices", "nodes", "strategy", "data_on_device")
"""Settings of processes and devices, which do not change the result: an unfinished training may resume with other values."""


class TrainingSettings(Settings):
    """What the two trained stages have in common."""

    section: ClassVar[str] = ""
    """The section's name in params.yaml."""
    needs_masks: ClassVar[bool] = False
    """Whether training and validation take only images whose mask is known."""
    models: list[str]
    """Names of the ensemble's members; each is trained on every fold. A name is a folder name."""
    variants: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Settings of this section that differ for single models, by model name."""
    pretrained: str = "none"
    """Initial encoder weights: `none`; `imagenet`; a tag of timm's for the architecture, such as `in12k_ft_in1k`;
    `hf-hub:owner/repository`; a local .safetensors file or a folder that holds one; or an earlier run, by its folder or its
    bundle's, whose networks are loaded whole where they fit. docs/pretrained.md lists weights that were tested."""
    pretrained_overlaps: Literal["refuse", "accept"] = "refuse"
    """If `pretrained` is an earlier run: whether it may have been trained on pictures or patients of the fold, the hold-out or
    an external source, by which the new network is judged. With `accept` scores may be too good, and the sidecar says so."""
    drop_path: float = Field(default=0.0, ge=0, lt=1)
    """Stochastic depth (Huang 2016) of timm encoders that have it, such as ConvNeXt and ViT."""
    layer_decay: float = Field(default=1.0, gt=0, le=1)
    """Factor of the learning rate from each layer of a timm encoder to the one before it (Clark 2020): .65 to .9 for ViT and
    ConvNeXt; 1: one rate for all."""
    encoder_rate: float = Field(default=1.0, gt=0, le=1)
    """Factor of the learning rate of the whole encoder: .1 to .3 preserves pretrained weights while new layers learn at the
    full rate; 1: one rate for all."""
    image_size: int = Field(default=256, ge=32, le=2048)
    """Side in pixels of the network's input; at most data.image_size."""
    contrast: Literal["plain", "clahe"] = "plain"
    """Of the network's input: `plain`, as prepared; `clahe`, greys equalised by region (contrast-limited adaptive histogram
    equalisation), in training and in prediction."""
    epochs: int = Field(default=10, ge=1)
    """Passes over the sampler's images."""
    iterations: int | None = Field(default=None, ge=1)
    """Length in optimiser steps, whatever the number of images; it is divided into `epochs` equal parts, which then serve as
    epochs: 20,000 iterations in 10 epochs are validated every 2,000 steps."""
    batch_size: int = Field(default=16, ge=1)
    """Images per step, over all processes together."""
    accumulate: int = Field(default=1, ge=1)
    """Batches whose gradients are added before an optimiser step."""
    micro_batch: Annotated[int, Field(ge=1)] | Literal["auto"] | None = "auto"
    """Images per pass, over all processes together; a step of batch_size is then several passes whose gradients are added.
    `auto`: on a GPU the largest part of batch_size that fits into its memory (experiments/plan), without one all of it. null:
    always all of it. Batch normalisation alone sees the smaller batch."""
    optimiser: Literal["adam", "adamw", "radam", "sgd"] = "adamw"
    """Adam (Kingma 2015), AdamW (Loshchilov 2019), RAdam (Liu 2020), SGD with momentum .9."""
    lr: float = Field(default=1e-3, gt=0, lt=10)
    """Peak learning rate."""
    lr_end: float = Field(default=0.0, ge=0)
    """Learning rate at the end of the schedule; the lowest one of a plateau."""
    weight_decay: float = Field(default=1e-4, ge=0, lt=1)
    """Weight decay; not applied to biases and normalisation layers."""
    schedule: Literal["cosine", "cosine_wave", "poly", "constant", "plateau"] = "cosine"
    """Learning rate over the steps: half cosine; a cosine that falls and rises again; (1 - t)^0.9; constant; or divided by ten
    when the validation score is on a plateau."""
    cycles: int = Field(default=1, ge=1)
    """Number of cosine cycles; more than one: warm restarts (SGDR, Loshchilov 2017), or half waves of `cosine_wave`, as
    PyTorch's CosineAnnealingLR gives after its T_max."""
    lr_patience: int = Field(default=2, ge=0)
    """Validations without a better score before a plateau lowers the rate."""
    warmup: float = Field(default=0.1, ge=0, lt=1)
    """Share of the steps over which the learning rate rises linearly from zero."""
    gradient_clip: float | None = Field(default=1.0, gt=0)
    """Largest gradient norm; null: no clipping."""
    alpha: float = Field(default=0.3, ge=0)
    """Mixing weight of the focal term; see the stage's losses.py. NOT the class balance of the focal loss."""
    gamma: float = Field(default=2.0, ge=0)
    """Focusing exponent of the focal term (Lin 2017); 0 is cross-entropy."""
    validate_every: int = Field(default=1, ge=1)
    """Epochs between two validations; epochs must be a multiple of it, so that the last epoch is validated."""
    keep: Literal["last", "best"] = "last"
    """Which checkpoint is the result. `best` chooses by the score of the same fold that later gives the out-of-fold
    predictions, which makes these slightly optimistic."""
    top: int = Field(default=1, ge=1)
    """With `keep: best`: number of best epochs that are averaged into the result, by `top_average`."""
    top_average: Literal["weights", "predictions"] = "weights"
    """What is averaged over the `top` epochs: their weights into one network (checkpoint averaging), or the probabilities of
    all of them, which takes `top` times as long in prediction. Phases before the last pass on the mean of the weights."""
    ema: float | None = Field(default=None, gt=0, lt=1)
    """Decay per step of the moving average of the weights, such as .999; the average is validated and saved. null: none."""
    freeze_encoder: int = Field(default=0, ge=0)
    """Epochs at the beginning in which the encoder keeps its weights and statistics."""
    phases: list[dict[str, Any]] = Field(default_factory=list)
    """Trainings in sequence, each starting from the weights of the one before and with its own changed settings, such as
    `{image_size: 768, lr: 1.0e-5}`: progressive resizing, falling shares of positives, a last phase on positives alone.
    []: a single training."""
    patience: int | None = Field(default=None, ge=1)
    """Early stop after this many epochs without a better validation score; needs `keep: best`."""
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = "auto"
    """Of training. `auto`: bf16 where the hardware multiplies it natively, fp16 on older GPUs, else fp32."""
    inference_precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    """Of predictions: those that the decision is fitted on, and therefore every later one, whatever the machine. The lineage
    and the bundle record it. 32-true gives the same probabilities on every processor; the others are faster where the hardware
    has them, and slower elsewhere."""
    deterministic: bool | Literal["auto"] = "auto"
    """Two trainings with equal settings end with equal weights, bit for bit. `auto`: on a CPU, where it costs nothing. On a GPU
    `true` turns off cuDNN's search for the fastest convolution and slows down bilinear upsampling (fpn, deeplabv3plus, unet_s5,
    double_unet); without it order, augmentation and initial weights still follow the seed, and only sums differ by rounding."""
    compile: bool = False
    """Compile the network with torch.compile: some minutes at the start, faster steps on a GPU."""
    evaluation_batch_size: int | None = Field(default=None, ge=1)
    """Batch size in validation and prediction, which need no gradients; null: batch_size, at least 8."""
    workers: int | Literal["auto"] = Field(default=0)
    """Loader processes of each training process; `auto`: 0 without a GPU or with the data on it, else at most 8."""
    data_on_device: bool | Literal["auto"] = "auto"
    """Prepared images in the GPU's memory: `yes`, or `auto`: where they take at most a quarter of the free memory. Needs
    workers 0 or auto, and augment.engine fused (or preset none); changes no result."""
    devices: int = Field(default=1, ge=1)
    """Processes that train together on each machine: its GPUs, or parts of a CPU. The result equals that of one process, up to
    rounding."""
    nodes: int = Field(default=1, ge=1)
    """Machines that train together; above 1 torchrun starts the stage on each (docs/cluster.md)."""
    strategy: Literal["ddp", "ddp_find_unused_parameters_true"] = "ddp"
    """How several processes train: each has all weights and a part of every batch, and gradients are averaged (DDP, Li 2020).
    The second, slower form is for networks that leave weights unused in some steps; freeze_encoder selects it automatically."""
    sync_batchnorm: bool = True
    """Batch normalisation over all processes' images (SyncBatchNorm), as if one process had them; GPUs only. false: each
    process over its own images, which is faster, differs from training in one process, and needs at least about 8 images in
    each."""
    flip_tta: bool = True
    """Predict the image and its mirror image and average."""
    scales: list[Annotated[float, Field(ge=0.25, le=4)]] = Field(default=[1.0], min_length=1)
    """Predict the image at these sizes, as fractions of image_size, and average; [0.875, 1, 1.125] takes three times as
    long."""
    augment: AugmentSettings = AugmentSettings()
    """Random changes of training images."""
    sampling: SamplingSettings = SamplingSettings()
    """Which images an epoch shows."""
    seed: int = Field(default=0, ge=0)
    """Seed of initial weights, order and augmentation; fold k uses seed + k."""

    @model_validator(mode="after")
    def _consistent(self) -> TrainingSettings:
        doubled = sorted({name for name in self.models if self.models.count(name) > 1})
        if doubled:
            raise ValueError(f"models names {', '.join(doubled)} twice; each member needs its own name")
        for name in self.models:
            if not name or any(sign in name for sign in "/\\:") or name.startswith("."):
                raise ValueError(
                    f"models contains {name!r}, which cannot be a folder name; use letters, digits, - and _"
                )
        strangers = sorted(set(self.variants) - set(self.models))
        if strangers:
            raise ValueError(
                f"variants names {', '.join(strangers)}, but models has only {', '.join(self.models)}"
            )
        if self.epochs % self.validate_every:
            raise ValueError(
                f"epochs {self.epochs} must be a multiple of validate_every {self.validate_every}: the last epoch is "
                "validated"
            )
        fixed = sorted(
            {
                key
                for phase in self.phases
                for key in (*NETWORK, "phases", "variants")
                if key in phase and phase[key] != getattr(self, key, None)
            }
        )
        if fixed:
            raise ValueError(
                f"phases change {', '.join(fixed)}, but each phase continues with the network of the one before; set "
                "it outside them"
            )
        if self.patience is not None and self.keep != "best":
            raise ValueError(
                f"patience {self.patience} needs `keep: best`; with `keep: {self.keep}` set patience to null"
            )
        if self.top > 1 and self.keep != "best":
            raise ValueError(f"top {self.top} needs `keep: best`; with `keep: {self.keep}` set it to 1")
        if self.top_average == "predictions" and self.top == 1:
            raise ValueError("top_average predictions needs top above 1: one epoch has nothing to average")
        if isinstance(self.workers, int) and self.workers < 0:
            raise ValueError(f"workers {self.workers} must be 0 or more, or auto")
        if self.batch_size % self.processes:
            raise ValueError(
                f"batch_size {self.batch_size} is the total over all processes and must be a multiple of "
                f"devices x nodes = {self.processes}"
            )
        if isinstance(self.micro_batch, int) and (
            self.batch_size % self.micro_batch or self.micro_batch % self.processes
        ):
            raise ValueError(
                f"micro_batch {self.micro_batch} must divide batch_size {self.batch_size} and be a multiple of "
                f"devices x nodes = {self.processes}"
            )
        if self.iterations is not None and self.iterations % self.epochs:
            raise ValueError(
                f"iterations {self.iterations} must be a multiple of epochs {self.epochs}, the number of its equal parts"
            )
        return self

    @property
    def evaluation_batch(self) -> int:
        """Batch size in validation and prediction."""
        return self.evaluation_batch_size or max(self.batch_size, 8)

    @property
    def loader_processes(self) -> int:
        """The number of loader processes requested; `auto` requests none."""
        return 0 if self.workers == "auto" else self.workers

    @property
    def processes(self) -> int:
        """Number of processes that train together."""
        return self.devices * self.nodes

    @model_validator(mode="after")
    def _schedule_is_one(self) -> TrainingSettings:
        if self.cycles > 1 and self.schedule not in ("cosine", "cosine_wave"):
            raise ValueError(
                f"cycles {self.cycles} needs `schedule: cosine` or `cosine_wave`, not {self.schedule}"
            )
        if self.schedule == "plateau" and self.warmup:
            raise ValueError(f"warmup {self.warmup} cannot be combined with `schedule: plateau`; set it to 0")
        if self.encoder_rate < 1 and self.layer_decay < 1:
            raise ValueError(
                f"encoder_rate {self.encoder_rate} and layer_decay {self.layer_decay} both lower the encoder's rate; "
                "set one to 1"
            )
        if self.lr_end > self.lr:
            raise ValueError(f"lr_end {self.lr_end} is above lr {self.lr}")
        return self
