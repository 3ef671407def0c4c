"""ImageNet's validation set, as `published` builds it, in the other layouts in which people keep it; and archives."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from published import Published, shuffled, write
from scipy.io import savemat

from engine import classes


def pack(folder: Path, archive: Path) -> Path:
    """The files below a folder as a tar, a tar.gz or a zip, by the archive's name."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive, "w") as zipped:
            for path in files:
                zipped.write(path, path.relative_to(folder).as_posix())
        return archive
    with tarfile.open(archive, "w:gz" if archive.suffix == ".gz" else "w") as tar:
        for path in files:
            tar.add(path, path.relative_to(folder).as_posix())
    return archive


def contents(published: Published) -> Iterator[tuple[str, int, str, bytes]]:
    """Id, class, wnid and bytes of every validation picture, in the order of the ids."""
    for image_id, c in sorted(published.shown.items()):
        wnid = classes.wnids()[c]
        yield image_id, c, wnid, (published.path / "val" / wnid / image_id).read_bytes()


def with_wnid(image_id: str, wnid: str) -> str:
    """Name of a picture in Hugging Face's archive."""
    return image_id.replace(".JPEG", f"_{wnid}.JPEG")


def flat(published: Published, folder: Path, *, wnids: bool = False) -> Path:
    """Pictures in one folder, as in ILSVRC2012_img_val.tar, or with wnids, as in Hugging Face's val_images.tar.gz."""
    for image_id, _, wnid, content in contents(published):
        write(folder / (with_wnid(image_id, wnid) if wnids else image_id), content)
    return folder


def devkit(published: Published, folder: Path) -> Path:
    """The folder of ILSVRC2012_devkit_t12.tar.gz: labels by ILSVRC2012_ID, and the table of what these are."""
    order = shuffled()
    rows = [(number, classes.wnids()[c], 0) for number, c in enumerate(order, 1)]
    rows += [(1001, "n00001740", 2), (1002, "n00001930", 3)]
    synsets = np.zeros((len(rows), 1), dtype=[("ILSVRC2012_ID", object), ("WNID", object), ("num_children", object)])
    for place, (number, wnid, children) in enumerate(rows):
        synsets[place, 0] = (float(number), wnid, float(children))
    out = io.BytesIO()
    savemat(out, {"synsets": synsets}, do_compression=True)
    data = folder / "ILSVRC2012_devkit_t12" / "data"
    write(data / "meta.mat", out.getvalue())
    truth = "".join(f"{order.index(c) + 1}\n" for _, c in sorted(published.shown.items()))
    write(data / "ILSVRC2012_validation_ground_truth.txt", truth)
    return folder


def lists(published: Published, folder: Path) -> dict[str, Path]:
    """Lists of labels in the forms in use: TensorFlow's, Caffe's, names with wnids, Kaggle's."""
    rows = [(image_id, c, classes.wnids()[c]) for image_id, c in sorted(published.shown.items())]
    boxes = [f"{image_id[:-5]},{wnid} 85 1 499 272 {wnid} 1 2 3 4 \n" for image_id, _, wnid in reversed(rows)]
    texts = {
        "imagenet_2012_validation_synset_labels.txt": "".join(f"{wnid}\n" for _, _, wnid in rows),
        "val.txt": "".join(f"{image_id} {c}\n" for image_id, c, _ in rows),
        "wnids.txt": "".join(f"val/{image_id}\t{wnid}\n" for image_id, _, wnid in rows),
        "LOC_val_solution.csv": "ImageId,PredictionString\n" + "".join(boxes),
    }
    for file, text in texts.items():
        write(folder / file, text)
    return {file: folder / file for file in texts}


def webdataset(published: Published, folder: Path, *, named: bool = True) -> Path:
    """Two tars of samples as in timm/imagenet-1k-wds: picture, class, and a record, with the original name or not."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = list(enumerate(contents(published)))
    for number in range(2):
        with tarfile.open(folder / f"imagenet1k-validation-{number:02d}.tar", "w") as tar:
            for place, (image_id, c, wnid, content) in rows[number::2]:
                record = {"label": c, "width": 48, **({"filename": with_wnid(image_id, wnid)} if named else {})}
                sample = {"jpg": content, "cls": str(c).encode(), "json": json.dumps(record).encode()}
                for ending, part in sample.items():
                    info = tarfile.TarInfo(f"{place:08d}.{ending}")
                    info.size = len(part)
                    tar.addfile(info, io.BytesIO(part))
    return folder


def parquet(published: Published, folder: Path) -> Path:
    """Two Parquet files as on the Hugging Face hub: image (bytes and path) and label."""
    rows = [
        {"image": {"bytes": content, "path": with_wnid(image_id, wnid)}, "label": c}
        for image_id, c, wnid, content in contents(published)
    ]
    features = {"image": {"_type": "Image"}, "label": {"names": list(classes.hub_names()), "_type": "ClassLabel"}}
    schema = pa.schema(
        [("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])), ("label", pa.int64())],
        metadata={"huggingface": json.dumps({"info": {"features": features}})},
    )
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(2):
        table = pa.Table.from_pylist(rows[number::2], schema=schema)
        pq.write_table(table, folder / f"validation-{number:05d}-of-00002.parquet", row_group_size=100)
    return folder
