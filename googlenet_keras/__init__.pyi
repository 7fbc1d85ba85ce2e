from .blocks import (
    BatchNormalizationStyle as BatchNormalizationStyle,
    Conv as Conv,
    Fork as Fork,
    ModuleFilters as ModuleFilters,
    Pool as Pool,
    Style as Style,
    auxiliary_head as auxiliary_head,
    conv_block as conv_block,
    inception_module as inception_module,
    mixed_block as mixed_block,
    residual_block as residual_block,
)
from .data import (
    Augmentation as Augmentation,
    Batches as Batches,
    Dataset as Dataset,
    Split as Split,
    open_dataset as open_dataset,
)
from .deploy import (
    Classifier as Classifier,
    Export as Export,
    Prediction as Prediction,
    decode_predictions as decode_predictions,
    export_model as export_model,
    open_artifact as open_artifact,
    optimize_for_inference as optimize_for_inference,
)
from .describe import (
    beside_paper as beside_paper,
    bottlenecks as bottlenecks,
    compare as compare,
    count_multiply_adds as count_multiply_adds,
    describe_model as describe_model,
    markdown_table as markdown_table,
    minimum_size as minimum_size,
    plot_architecture as plot_architecture,
    plot_model as plot_model,
    write_architecture_page as write_architecture_page,
)
from .devices import DtypeChoice as DtypeChoice, choose_dtype as choose_dtype, create_strategy as create_strategy
from .evaluation import (
    Evaluation as Evaluation,
    evaluate as evaluate,
    evaluate_model as evaluate_model,
    paper_crops as paper_crops,
    plot_confusion as plot_confusion,
    score_models as score_models,
    ten_crops as ten_crops,
)
from .layers import (
    BatchNormalization as BatchNormalization,
    CeilAveragePooling2D as CeilAveragePooling2D,
    LocalResponseNormalization as LocalResponseNormalization,
)
from .models import (
    VGG as VGG,
    AlexNet as AlexNet,
    GoogLeNet as GoogLeNet,
    InceptionResNetV1 as InceptionResNetV1,
    InceptionResNetV2 as InceptionResNetV2,
    InceptionV2 as InceptionV2,
    InceptionV3 as InceptionV3,
    InceptionV4 as InceptionV4,
    MNISTInception as MNISTInception,
    MNISTResidual as MNISTResidual,
    ModelRecord as ModelRecord,
    NiN as NiN,
    Preprocessing as Preprocessing,
    create_model as create_model,
    feature_extractor as feature_extractor,
    from_preset as from_preset,
    inference_model as inference_model,
    list_models as list_models,
    load_model as load_model,
    model_record as model_record,
    preprocess_input as preprocess_input,
    save_to_preset as save_to_preset,
)
from .studies import load_study as load_study, run_study as run_study, study_names as study_names
from .training import (
    LossNotFiniteError as LossNotFiniteError,
    Muon as Muon,
    Recipe as Recipe,
    TrainingInterruptedError as TrainingInterruptedError,
    load_recipe as load_recipe,
    recipe_names as recipe_names,
    train as train,
)
from .weights import (
    PUBLISHED as PUBLISHED,
    Card as Card,
    Loading as Loading,
    PublishedWeights as PublishedWeights,
    StoredTensor as StoredTensor,
    WeightFile as WeightFile,
    list_weights as list_weights,
    load_state as load_state,
    load_weights as load_weights,
    open_weights as open_weights,
    read_card as read_card,
    read_weights as read_weights,
    recognize_source as recognize_source,
    save_weights as save_weights,
    shrink_weights as shrink_weights,
    write_card as write_card,
)
from .weights.conversion import Conversion as Conversion, convert_weights as convert_weights

__version__: str
