//! What is read in Dockerfiles, held against what BuildKit itself makes of them.

use std::collections::BTreeSet;

use super::{
    super::{dockerfile, reference::Reference},
    *,
};

const ROUNDS: usize = 24;

/// An image that is there under several names.
struct Names(Vec<String>);

impl Names {
    fn new() -> Names {
        let names: Vec<String> = (0..4).map(|_| unique("read")).collect();
        for name in &names {
            docker(&["tag", BASE, name]);
        }
        Names(names)
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rmi", "--no-prune"]).args(&self.0).output();
    }
}

fn line(random: &mut StdRng, images: &[String]) -> String {
    let image = images.choose(random).unwrap();
    let lines = [
        "COPY fa /",
        "copy\tfb \\\n   fc /x/",
        "COPY [\"fa\", \"/\"]",
        "COPY *.md /m/",
        "COPY f? /q/",
        "COPY fc/./x fa /y/",
        "COPY fc/../fb /",
        "ADD fa /z",
        "# COPY fb /\nADD fb /",
        "COPY --chown=1:1 fa /",
        "LABEL a=\"x \\\n# COPY fb /\n y\"",
        "LABEL a=b\\\\\nCOPY fb /",
        "LABEL a=<<END",
        "LABEL a='<<END b'\nCOPY fd.md /",
        "ENV A=fa\nCOPY $A /",
        "ENV A=fb \\\n\n\n B=2",
        "ARG IMG\nCOPY fa /${IMG:-x}",
        "ONBUILD COPY fb /",
        "ONBUILD COPY --from=@ /etc/hostname /h",
        "FROM @",
        "FROM @ AS s1",
        "FROM @ as S2\nFROM s2",
        "FROM s1",
        "FROM --platform=$TARGETPLATFORM @",
        "FROM \"@\"",
        "FROM $BASE",
        "FROM ${BASE:-x} AS s1",
        "FROM ${NONE:-@}",
        "COPY --from=s1 /etc/hostname /h",
        "COPY --from=0 /etc/hostname /h",
        "COPY --from=@ /etc/hostname /h",
        "RUN --mount=from=@,target=/m true",
        "RUN --mount=type=bind,src=fc,target=/m --mount=type=cache,target=/c test -e /m/x",
        "RUN --mount=target=/m test -e /m/fb",
        "RUN echo \"a <<END b\"; echo $((1<<2))",
        "RUN true \\\n  # why \\\n  && true",
        "COPY link /l",
        "\\\nCOPY fb /",
        "  \\\n  COPY fa /",
    ];
    lines.choose(random).unwrap().replace('@', image)
}

/// Whatever BuildKit looks up or asks for was read, or the reading is in doubt.
#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn engine_takes_nothing_that_was_not_read() {
    let names = Names::new();
    let root = folder(&[("fa", "a"), ("fb", "b"), ("fc/x", "x"), ("fd.md", "d"), ("fe.md", "e")]);
    std::os::unix::fs::symlink("fc/x", root.path().join("link")).unwrap();
    let engine = engine::connect(None).await.unwrap();
    let mut random = StdRng::seed_from_u64(11);
    let (mut certain, mut built_in_doubt) = (0, 0);
    for _ in 0..ROUNDS {
        let begin = ["", "# escape=\\\n", "\u{feff}", "# why\n# escape=`\n", "\n\n"].choose(&mut random).unwrap();
        let mut text = format!("{begin}ARG BASE={}\nFROM {}\n", names.0[0], names.0[1]);
        for _ in 0..random.random_range(1..7) {
            text.push_str(&line(&mut random, &names.0));
            text.push_str(["\n", "\r\n", " \n"].choose(&mut random).unwrap());
        }
        fs::write(root.path().join("Dockerfile"), &text).unwrap();
        let spec = spec(root.path());
        let reading = dockerfile::read(&text, &spec.args, &spec.platform);
        let image = Image(vec![unique("reading")]);
        // What BuildKit does not build is of no matter.
        let (Ok(built), _) = build_it(&engine, &spec, &image.0).await else { continue };
        if reading.doubt.is_some() {
            built_in_doubt += 1;
            continue;
        }
        certain += 1;
        let known: Vec<Reference> = reading.images.iter().map(|image| Reference::parse(image)).collect();
        for image in &built.images {
            let image = Reference::parse(image);
            assert!(known.iter().any(|known| known.is_same(&image)), "{image:?} was overlooked in:\n{text}");
        }
        let entries = Context::load(&spec.context, "Dockerfile").unwrap().entries;
        let ours: BTreeSet<usize> = reading.files.select(&entries).into_iter().collect();
        for index in built.files.select(&entries) {
            assert!(ours.contains(&index), "{} was overlooked in:\n{text}", entries[index].path);
        }
    }
    assert!(certain >= ROUNDS / 4, "{certain} readings were compared, {built_in_doubt} were in doubt");
}
