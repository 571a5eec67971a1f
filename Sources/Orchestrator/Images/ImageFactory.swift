import Glibc
import Logging
import MachineAPI
import Sealing

/// Builds images: resolves, installs and checks once, so that a start downloads nothing.
///
/// Foreign code runs in build machines only. What they leave behind is copied kind by kind before it becomes a layer.
public final class ImageFactory: ImageBuilding, Sendable {
    let settings: ImageSettings
    let store: ImageStore
    let uploads: Uploads
    let machine: any BuildMachine
    let logger: Logger
    private let cache: SharedCache
    let parts: any BaseParts
    /// Equal builds one after the other: the second finds the first one's result.
    private let equals = Turnstile(width: 1)
    /// Builds are heavy.
    private let places = Turnstile(width: 2)
    private let running = RunningBuilds()

    /// Who a registry is told that we are; nil for everybody.
    private let logins: @Sendable (_ registry: String) async throws -> RegistryLogin?

    convenience init(
        settings: ImageSettings, store: ImageStore, uploads: Uploads, machine: any BuildMachine, logger: Logger,
        logins: @escaping @Sendable (_ registry: String) async throws -> RegistryLogin? = { _ in nil }
    ) {
        self.init(
            settings: settings, store: store, uploads: uploads, machine: machine, logger: logger,
            parts: HostParts(settings: settings, machine: machine), logins: logins)
    }

    init(
        settings: ImageSettings, store: ImageStore, uploads: Uploads, machine: any BuildMachine, logger: Logger, parts: any BaseParts,
        logins: @escaping @Sendable (_ registry: String) async throws -> RegistryLogin? = { _ in nil }
    ) {
        self.logins = logins
        self.settings = settings
        self.store = store
        self.uploads = uploads
        self.machine = machine
        self.logger = logger
        self.parts = parts
        cache = SharedCache(directory: settings.cache)
    }

    /// Builds an image: steps for people, then exactly one `.done` or `.failed`. Dropping the stream cancels the build.
    ///
    /// Of a package and of a registry's image the release is told of before anything of it is built, and a doubtful one is not built unless
    /// it is accepted: whoever asks for a build meets the question here.
    public func build(_ source: ImageSource, anew: Bool, accepting: [String]) -> AsyncThrowingStream<ImageBuildEvent, any Error> {
        stream { say in
            let gate = ReleaseGate(rules: self.settings.releases, accepted: Set(accepting)) { say(.release($0)) }
            let built = try await self.image(of: source, anew: anew, gate: gate) { say(.step($0)) }
            let directory = self.store.directory
            try await Disk.work { try ImageFacts.keep(built, of: source, in: directory) }
            return .done(built)
        }
    }

    /// Makes what every build starts from, ahead of the first one: steps, then the end, or one `.failed`.
    public func prepare() -> AsyncThrowingStream<ImageBuildEvent, any Error> {
        stream { say in
            let step: @Sendable (String) -> Void = { say(.step($0)) }
            _ = try await self.equals.enter("parts") {
                let base = try await self.base(step)
                _ = try await self.builder(base, step)
            }
            return nil
        }
    }

    /// Cancels what is under way and waits until it has cleaned up after itself, for `limit` at most.
    public func end(within limit: Duration = .seconds(10)) async { await running.end(within: limit) }

    private func stream(
        _ body: @escaping @Sendable (_ say: @escaping @Sendable (ImageBuildEvent) -> Void) async throws -> ImageBuildEvent?
    ) -> AsyncThrowingStream<ImageBuildEvent, any Error> {
        AsyncThrowingStream { continuation in
            let task = running.start {
                do {
                    if let event = try await body({ continuation.yield($0) }) { continuation.yield(event) }
                } catch {
                    let failure = Task.isCancelled ? Disk.failure(of: CancellationError()) : Disk.failure(of: error)
                    self.logger.info("Image build failed", metadata: ["error": "\(failure.error)", "message": "\(failure.message)"])
                    continuation.yield(.failed(failure))
                }
                continuation.finish()
            }
            continuation.onTermination = { reason in
                if case .cancelled = reason { task.cancel() }
            }
        }
    }

    // MARK: Parts

    func base(_ step: @escaping @Sendable (String) -> Void) async throws -> SharedPart {
        let key = try await parts.baseKey()
        return try await cache.part("base", key: key, into: store, step: step) { tree, scratch in
            try BuildRoom.check(self.settings.state, needs: self.settings.room)
            return try await self.parts.makeBase(tree, scratch, step)
        }
    }

    /// The base system, made by one build for all that wait for it.
    func readyBase(_ step: @escaping @Sendable (String) -> Void) async throws -> SharedPart {
        try await equals.enter("parts") { try await self.base(step) }
    }

    /// A part beside the base, made by one build for all that wait for it.
    func shared(
        _ kind: String, key: String, _ step: @escaping @Sendable (String) -> Void,
        make: @escaping @Sendable (_ tree: String, _ scratch: String) async throws -> [String: String]
    ) async throws -> SharedPart {
        try await equals.enter("parts-" + kind) {
            try await self.cache.part(kind, key: key, into: self.store, step: step) { tree, scratch in
                try BuildRoom.check(self.settings.state, needs: self.settings.room)
                return try await make(tree, scratch)
            }
        }
    }

    func builder(_ base: SharedPart, _ step: @escaping @Sendable (String) -> Void) async throws -> SharedPart {
        let key = try parts.builderKey()
        let layer = store.layerPath(base.layer.hex)
        return try await cache.part("builder", key: key, into: store, step: step) { tree, scratch in
            try BuildRoom.check(self.settings.state, needs: self.settings.room)
            return try await self.parts.makeBuilder(tree, scratch, layer, step)
        }
    }

    // MARK: Images

    /// - Parameter anew: what an equal build gave before does not count.
    private func image(
        of source: ImageSource, anew: Bool, gate: ReleaseGate, step: @escaping @Sendable (String) -> Void
    ) async throws -> BuiltImage {
        try source.check()
        if let upload = source.binary {
            let work = BinaryWork(factory: self, step: step, upload: upload, command: source.start, arguments: source.arguments ?? [])
            return try await ofUpload(step) { try await work.image() }
        }
        if source.layout != nil {
            let work = LayoutWork(factory: self, step: step, base: try await readyBase(step), source: source)
            return try await ofUpload(step) { try await work.image() }
        }
        if let text = source.oci {
            let reference = try RegistryReference(text)
            let base = try await readyBase(step)
            let key = try BuildInputs(source: source, base: base.layer.hex, builder: "", index: "").key()
            let login = try await logins(reference.authority)
            let work = PullWork(factory: self, step: step, base: base, reference: reference, login: login, source: source, gate: gate)
            return try await recorded(key, isPinned: reference.digest != nil, anew: anew, step) { try await work.image() }
        }
        if source.npm != nil { return try await node(source, anew: anew, gate, step) }
        return try await python(source, anew: anew, gate, step)
    }

    /// What is made of an upload alone: its layers are found again by their content, so nothing is remembered.
    private func ofUpload(
        _ step: @escaping @Sendable (String) -> Void, _ build: @escaping @Sendable () async throws -> BuiltImage
    ) async throws -> BuiltImage {
        try await places.enter("", onWait: { step("Waiting for other builds.") }) {
            try BuildRoom.check(self.settings.state, needs: self.settings.room)
            let built = try await build()
            await self.forgetUploads()
            return built
        }
    }

    /// Images have their own copies; an hour is for a second build of the same upload.
    private func forgetUploads() async { _ = try? await uploads.remove(olderThan: .seconds(3_600)) }

    /// An image of Python packages, or of a folder.
    private func python(
        _ source: ImageSource, anew: Bool, _ gate: ReleaseGate, _ step: @escaping @Sendable (String) -> Void
    ) async throws -> BuiltImage {
        let plan = try BuildPlan(source)
        let (base, builder) = try await equals.enter("parts") {
            let base = try await self.base(step)
            // Before the build tools are fetched, which are not needed to know it.
            try source.python.map { try PythonWish($0) }?.check(base.facts["python"] ?? "")
            return (base, try await self.builder(base, step))
        }
        let inputs = BuildInputs(source: source, base: base.layer.hex, builder: builder.layer.hex, index: settings.index.url)
        let key = try inputs.key()
        let work = BuildRun(factory: self, plan: plan, base: base, builder: builder, gate: gate, step: step)
        return try await recorded(key, isPinned: plan.isPinned, anew: anew, step) { try await work.image() }
    }

    /// The result of an equal build before, else of this one, which is kept.
    func recorded(
        _ key: String, isPinned: Bool, anew: Bool, _ step: @escaping @Sendable (String) -> Void,
        _ build: @escaping @Sendable () async throws -> BuiltImage
    ) async throws -> BuiltImage {
        try await equals.enter(key, onWait: { step("Waiting for the same build that is under way.") }) {
            let store = self.store
            if !anew, let record = try await Disk.work({ BuildRecord.read(key, in: store) }),
                try await Disk.work({ store.renewImage(record.built.image) }), try await store.image(record.built.image) != nil
            {
                step("Built before: nothing to do.")
                return record.built
            }
            return try await self.places.enter("", onWait: { step("Waiting for other builds.") }) {
                try BuildRoom.check(self.settings.state, needs: self.settings.room)
                let built = try await build()
                await self.forgetUploads()
                try await Disk.work {
                    try BuildRecord(built: built, made: time(nil), isPinned: isPinned).write(key, in: store)
                }
                return built
            }
        }
    }
}

extension ImageSource {
    /// The command that was given, if one was.
    var start: [String]? { command.flatMap { $0.isEmpty ? nil : $0 } }

    /// - Throws: `bad_source` where it is not one thing, or names an upload wrongly.
    func check() throws(ImageBuildFailure) {
        guard kind != nil else {
            throw ImageBuildFailure(
                error: "bad_source",
                message: "A source is one thing: a package of PyPI or npm, an OCI image of a registry, an uploaded folder, program or OCI layout.",
                hint: "Give one of \(Kind.allCases.map { $0 == .folder ? "upload" : $0.rawValue }.joined(separator: ", ")).")
        }
        if let digest = uploaded, Identifier.hex(ofDigest: digest) == nil {
            throw ImageBuildFailure(
                error: "bad_source", message: "\(digest.prefix(100)) is no digest of an upload.", hint: "It is written sha256: and 64 hex digits.")
        }
        if let python { _ = try PythonWish(python) }
        if let npm { _ = try NpmSpec(npm) }
        if let oci { _ = try RegistryReference(oci) }
        for word in (command ?? []) + (arguments ?? []) where word.utf8.contains(0) || word.utf8.count > 64 << 10 {
            throw ImageBuildFailure(error: "bad_source", message: "A word of the command is too long or holds a zero byte.")
        }
    }
}

/// A source of Python packages or a folder, checked.
struct BuildPlan: Sendable {
    enum Content: Sendable, Equatable {
        case package(Requirement)
        case upload(digest: String, requirements: Bool)
    }

    var content: Content
    /// Installed beside the package.
    var with: [Requirement]
    var constraints: [Requirement]
    var command: [String]?
    var arguments: [String]

    init(_ source: ImageSource) throws(ImageBuildFailure) {
        if let spec = source.pypi {
            content = .package(try Requirement(spec))
        } else {
            content = .upload(digest: source.upload ?? "", requirements: source.requirements ?? false)
        }
        var constraints: [Requirement] = []
        for text in source.constraints ?? [] { constraints.append(try Requirement(text)) }
        self.constraints = constraints
        var with: [Requirement] = []
        for text in source.with ?? [] { with.append(try Requirement(text)) }
        self.with = with
        command = source.start
        arguments = source.arguments ?? []
    }

    /// What is asked of the index before anything is built: the package, then those beside it.
    var releases: [ReleaseFacts.Question] {
        guard case .package(let requirement) = content else { return [] }
        return ([requirement] + with).map { .init(name: $0.name, version: $0.pinned) }
    }

    /// The package asked for.
    var package: String? {
        if case .package(let requirement) = content { requirement.name } else { nil }
    }

    var isPinned: Bool {
        switch content {
        case .package(let requirement): requirement.isPinned && with.allSatisfy(\.isPinned)
        case .upload(_, let requirements): !requirements
        }
    }
}
