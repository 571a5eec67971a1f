extension LauncherWords {
    private static let filesRemedy = "its machine has no files of the host: put them into an image (FROM …, COPY …), or leave it out"
    private static let ownRemedy = "leave it out: machines have an isolation of their own"

    private static let dockerOptions: [(spellings: String, kind: Options.Kind)] = [
        ("--env -e", .variable), ("--memory -m", .value), ("--cpus", .value), ("--entrypoint", .value),
        ("--volume -v", .refused(filesRemedy)), ("--mount --volumes-from --tmpfs", .refused(filesRemedy)),
        ("--publish -p", .refused("a server that speaks HTTP: berth connector add NAME --oci IMAGE --http PORT")),
        ("--publish-all -P --expose", .refused(ownRemedy)),
        ("--network --net", .refused("leave it out, and name the hosts that it is to reach: --egress SERVER=HOST")),
        ("--add-host --dns --link", .refused("leave it out, and name the hosts that it is to reach: --egress SERVER=HOST")),
        ("--env-file", .refused("write its lines into env")),
        ("--privileged --cap-add --device --security-opt --pid --ipc --userns --uts --gpus --group-add --sysctl --cgroupns", .refused(ownRemedy)),
        ("--workdir -w", .refused("the image's own working directory is used: leave it out")),
        ("--platform", .refused("leave it out: the image of this host's platform is taken")),
        ("--runtime", .refused("berth connector update NAME --runtime PATH")),
        ("--pids-limit", .refused("berth connector update NAME --pids N")),
        (
            "--name --pull --label -l --restart --hostname -h --user -u --log-driver --log-opt --cap-drop --stop-timeout --ulimit --cidfile --memory-swap --shm-size",
            .ignoredWithValue
        ),
        ("--interactive -i --tty -t --rm --init --read-only --detach -d --quiet -q --sig-proxy --no-healthcheck", .ignored),
    ]

    /// `docker run [-e K[=V]] … IMAGE [ARGUMENT…]`
    func docker(_ rest: inout Options) throws(Refusal) -> Launch {
        let program = rest.launcher
        var verb = try rest.next("command").text
        if verb == "container" { verb = try rest.next("command").text }
        guard verb == "run" else {
            throw Refusal(
                verb == "mcp" ? "\(program) mcp starts a gateway of its own" : "\(program) \(Looks.brief(verb, 32)) starts no image",
                "name the server's image: docker run -i --rm IMAGE")
        }
        rest = Options(words: rest.words, launcher: "\(program) run")
        let options = try rest.take(Self.dockerOptions)
        let image = try rest.next("image").text
        var launch = Launch(source: .oci(try reference(image)), arguments: rest.words, launcher: .none)
        launch.variables = []
        for option in options {
            switch option.name {
            case "--env": launch.variables?.append(try Self.variable(option.value))
            case "--memory":
                guard let size = Self.mebibytes(option.value.text) else { throw Refusal("--memory is no size", "for example 512m") }
                launch.memoryMB = size
            case "--cpus":
                guard let number = Double(option.value.text), (0.01...4_096).contains(number) else {
                    throw Refusal("--cpus is no number", "for example 0.5")
                }
                launch.cpus = max(0.1, number)
            default: launch.command = [option.value.text]
            }
        }
        return launch
    }

    private static func variable(_ word: Word) throws(Refusal) -> (name: String, value: Word?) {
        let equals = word.text.firstIndex(of: "=")
        let name = String(word.text[..<(equals ?? word.text.endIndex)])
        guard Variable.isName(name) else { throw Refusal("-e is told no variable", "-e NAME or -e NAME=VALUE") }
        if let place = word.filledAt, place < name.utf8.count { _ = try word.shown("the name of a variable") }
        return (name, equals.map { _ in word.dropping(name.utf8.count + 1) })
    }

    private static func mebibytes(_ text: String) -> Int? {
        let number = text.prefix(while: \.isNumber)
        guard let value = Int(number), value > 0, value <= 1 << 40 else { return nil }
        switch text.dropFirst(number.count).lowercased() {
        case "", "b": return max(64, value >> 20)
        case "k", "kb": return max(64, value >> 10)
        case "m", "mb": return max(64, value)
        case "g", "gb": return value <= 1 << 20 ? value << 10 : nil
        default: return nil
        }
    }

    /// With its registry, which is never taken for granted.
    private func reference(_ image: String) throws(Refusal) -> String {
        let first = image.prefix { $0 != "/" }
        guard !image.contains(where: \.isWhitespace) else {
            throw Refusal("several words stand in the place of its image", "write each word into args by itself")
        }
        // `USER:PASSWORD@HOST/NAME`; a digest stands behind the name.
        if let at = first.firstIndex(of: "@"), image.contains("/") || !first[at...].hasPrefix("@sha256:") {
            throw Refusal(
                "what stands before @ in its image is no part of a name", "HOST/NAME[:TAG]; berth image login HOST keeps a registry's user and password")
        }
        let hasHost = image.contains("/") && (first.contains(".") || first.contains(":") || first == "localhost")
        if hasHost { return image }
        guard let registry else {
            throw Refusal(
                "\(Looks.brief(image, 100)) names no registry",
                "--registry HOST says where such images are, as \(LauncherWords.base(words.first?.text ?? "docker")) has it set")
        }
        return "\(registry)/\(image.contains("/") ? image : "library/" + image)"
    }
}
