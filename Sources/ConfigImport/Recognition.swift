import JSONText

/// Finds out what a client's command line runs, and writes it down as a connector.
struct Recognition {
    let process: ImportFile.Process
    let values: [Placeholder: String]
    /// Placeholders whose values are shown while they are typed: no secrets by themselves.
    let open: Set<Placeholder>
    let registry: String?
    let surroundings: Surroundings

    /// In a command line also those that everybody on a host knows.
    private var known: Set<Placeholder> { open.union(["HOME", "USER", "USERNAME", "USERPROFILE"].map { Placeholder(.environment, $0) }) }

    /// What a launcher's command line says: the part that is known before secrets are taken out of it.
    struct Launch {
        var source: ImportPlan.Source
        /// In place of the source's own command.
        var command: [String] = []
        /// The server's own arguments.
        var arguments: [Word] = []
        /// How an interpreter is told arguments that may not stand in an argument list.
        var launcher: Launcher
        /// Variables that the launcher's options set; nil takes the value of `env`.
        var variables: [(name: String, value: Word?)]?
        var memoryMB: Int?
        var cpus: Double?
        var remarks: [String] = []
    }

    /// A word of the command line, and where in it the value of a placeholder begins that may be a secret's.
    struct Word: Equatable {
        var text: String
        /// Bytes before it; nil where there is none.
        var filledAt: Int?
        var isFilled: Bool { filledAt != nil }

        /// What stands behind the first `count` bytes.
        func dropping(_ count: Int) -> Word {
            Word(text: String(decoding: text.utf8.dropFirst(count), as: UTF8.self), filledAt: filledAt.map { max(0, $0 - count) })
        }

        /// The text for a place that is shown, stored in clear and sent away: of a package, a program, a folder.
        func shown(_ place: String) throws(Refusal) -> String {
            guard !isFilled else {
                throw Refusal(
                    "a placeholder stands for \(place), which is shown, and may be looked up elsewhere",
                    "write \(place) itself into the file; values that are secret belong into env, or behind the server's own options")
            }
            return text
        }
    }

    func connector() throws(Refusal) -> ImportPlan.Connector {
        var room = Template.room
        var words: [Word] = []
        for text in [process.command] + process.arguments { words.append(try process.template(text).filled(values, open: known, room: &room)) }
        let directory: String?
        if let text = process.directory {
            directory = try process.template(text).filled(values, open: known, room: &room).shown("cwd")
        } else {
            directory = nil
        }
        let launch = try LauncherWords(words: words, directory: directory, registry: registry, surroundings: surroundings).launch()
        guard !launch.source.words.contains(where: { Looks.holdsToken($0) }) else {
            throw Refusal(
                "the name of what it starts looks as if a secret stood in it",
                "write secrets into env, or behind the server's own options; where it is none: berth connector add NAME")
        }
        var connector = ImportPlan.Connector(source: launch.source)
        connector.command = launch.command
        (connector.memoryMB, connector.cpus, connector.remarks) = (launch.memoryMB, launch.cpus, launch.remarks)
        try addVariables(launch.variables, to: &connector)
        try addArguments(launch, to: &connector)
        addHosts(to: &connector)
        addRemarks(directory, to: &connector)
        return connector
    }

    /// - Parameter chosen: the only ones that the server gets, where a launcher chooses them.
    private func addVariables(_ chosen: [(name: String, value: Word?)]?, to connector: inout ImportPlan.Connector) throws(Refusal) {
        var own: [(name: String, value: String, isFilled: Bool)] = []
        var room = Template.room
        for (name, value) in process.environment {
            let word = try Template(value).filled(values, open: open, room: &room)
            own.append((name, word.text, word.isFilled))
        }
        var all = own
        if let chosen {
            all = []
            for (name, word) in chosen {
                if let word {
                    all.append((name, word.text, word.isFilled))
                } else if let given = own.first(where: { $0.name == name }) {
                    all.append(given)
                } else if let value = values[Placeholder(.environment, name)] {
                    all.append((name, value, true))
                } else {
                    connector.remarks.append("\(name) is passed on from the client's environment, and env has no value for it: left out")
                }
            }
        }
        for (name, value, isFilled) in all {
            guard value.utf8.count <= 64 << 10 else { throw Refusal("the value of \(name) is over 64 KiB", "put it into a file of the server's") }
            // What somebody typed unseen, or has in his environment, is a secret whatever it looks like.
            if value.isEmpty || !isFilled && Looks.isPlain(name, value) {
                connector.environment[name] = value
                connector.secrets[name] = nil
            } else {
                if Looks.isExample(value) { connector.remarks.append("the value of \(name) looks like an example's") }
                connector.secrets[name] = value
                connector.environment[name] = nil
            }
        }
    }

    private func addArguments(_ launch: Launch, to connector: inout ImportPlan.Connector) throws(Refusal) {
        var hider = ArgumentSecrets(taken: Set(connector.environment.keys).union(connector.secrets.keys))
        connector.arguments = hider.hide(launch.arguments)
        guard !hider.found.isEmpty else { return }
        guard connector.source.hidesArguments, launch.launcher != .none else {
            throw Refusal(
                "a secret stands among its arguments (\(hider.places.joined(separator: ", "))), which everybody on this host could read in the process list",
                "give it in env, if the server reads a variable")
        }
        connector.secrets.merge(hider.found) { _, new in new }
        launch.launcher.apply(to: &connector)
    }

    /// A host that stands in clear in its settings is one that it is to reach. Not so where the file joins a folder of this host with packages
    /// that it names itself: whoever wrote it would have the folder's files, code beside them and a way out, by one line.
    private func addHosts(to connector: inout ImportPlan.Connector) {
        var unreached = false
        var isJoined = false
        if case .folder(_, requirements: .list) = connector.source { isJoined = true }
        var held: [String] = []
        for text in connector.arguments + connector.environment.sorted(by: { $0.key < $1.key }).map(\.value) {
            let value = text.hasPrefix("--") ? String(text.drop { $0 != "=" }.dropFirst()) : text
            guard let address = WebAddress(value) else { continue }
            guard address.isPublicName else {
                unreached = true
                continue
            }
            let port = address.port ?? (address.scheme == "http" ? 80 : 443)
            let host = port == 443 ? address.host : "\(address.host):\(port)"
            if isJoined {
                if !held.contains(host), held.count < 16 { held.append(host) }
            } else if !connector.egress.contains(host), connector.egress.count < 16 {
                connector.egress.append(host)
            }
        }
        if !held.isEmpty {
            connector.remarks.append(
                "its settings name \(held.joined(separator: ", ")), and it starts a folder of this host with packages that the file names: --egress SERVER=HOST lets it reach one"
            )
        }
        if unreached {
            connector.remarks.append(
                "an address of this host or network is among its settings: --egress-private HOST:PORT of connector update opens one")
        }
    }

    private func addRemarks(_ directory: String?, to connector: inout ImportPlan.Connector) {
        if directory != nil, case .folder = connector.source {
        } else if directory != nil {
            connector.remarks.append("cwd is a folder of the client's host: its machine has none of it")
        }
        let paths = connector.arguments.filter { word in
            let value = word.hasPrefix("-") ? String(word.drop { $0 != "=" }.dropFirst()) : word
            return value.hasPrefix("/") || value.hasPrefix("~/") || (value.count > 2 && value.dropFirst().hasPrefix(":\\"))
        }
        if !paths.isEmpty {
            connector.remarks.append(
                "\(Count.text(paths.count, "argument")) of it name\(paths.count == 1 ? "s" : "") a path of the client's host: its machine has none of it"
            )
        }
        if connector.environment.contains(where: { $0.value.hasPrefix("/") && $0.key != "PATH" }) {
            connector.remarks.append("a variable names a path of the client's host: its machine has none of it")
        }
    }
}
