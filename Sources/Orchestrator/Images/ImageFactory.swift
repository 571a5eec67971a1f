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
    private let parts: any BaseParts
    /// Equal builds one after the other: the second finds the first one's result.
    private let equals = Turnstile(width: 1)
    /// Builds are heavy.
    private let places = Turnstile(width: 2)
    private let running = RunningBuilds()

    public convenience init(
        settings: ImageSettings, store: ImageStore, uploads: Uploads, machine: any BuildMachine, logger: Logger
    ) {
        self.init(
            settings: settings, store: store, uploads: uploads, machine: machine, logger: logger,
            parts: HostParts(settings: settings, machine: machine))
    }

    init(
        settings: ImageSettings, store: ImageStore, uploads: Uploads, machine: any BuildMachine, logger: Logger, parts: any BaseParts
    ) {
        self.settings = settings
        self.store = store
        self.uploads = uploads
        self.machine = machine
        self.logger = logger
        self.parts = parts
        cache = SharedCache(directory: settings.cache)
    }

    /// Builds an image: steps for people, then exactly one `.done` or `.failed`. Dropping the stream cancels the build.
    public func build(_ source: ImageSource) -> AsyncThrowingStream<ImageBuildEvent, any Error> {
        stream { step in .done(try await self.image(of: source, step: step)) }
    }

    /// Makes what every build starts from, ahead of the first one: steps, then the end, or one `.failed`.
    public func prepare() -> AsyncThrowingStream<ImageBuildEvent, any Error> {
        stream { step in
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
        _ body: @escaping @Sendable (_ step: @escaping @Sendable (String) -> Void) async throws -> ImageBuildEvent?
    ) -> AsyncThrowingStream<ImageBuildEvent, any Error> {
        AsyncThrowingStream { continuation in
            let task = running.start {
                do {
                    if let event = try await body({ continuation.yield(.step($0)) }) { continuation.yield(event) }
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

    func builder(_ base: SharedPart, _ step: @escaping @Sendable (String) -> Void) async throws -> SharedPart {
        let key = try parts.builderKey()
        let layer = store.layerPath(base.layer.hex)
        return try await cache.part("builder", key: key, into: store, step: step) { tree, scratch in
            try BuildRoom.check(self.settings.state, needs: self.settings.room)
            return try await self.parts.makeBuilder(tree, scratch, layer, step)
        }
    }

    // MARK: Images

    private func image(of source: ImageSource, step: @escaping @Sendable (String) -> Void) async throws -> BuiltImage {
        let plan = try BuildPlan(source)
        let (base, builder) = try await equals.enter("parts") {
            let base = try await self.base(step)
            return (base, try await self.builder(base, step))
        }
        let inputs = BuildInputs(source: source, base: base.layer.hex, builder: builder.layer.hex, index: settings.index.url)
        let key = try inputs.key()
        return try await equals.enter(key, onWait: { step("Waiting for the same build that is under way.") }) {
            let store = self.store
            if let record = try await Disk.work({ BuildRecord.read(key, in: store) }),
                try await Disk.work({ store.renewImage(record.built.image) }), try await store.image(record.built.image) != nil
            {
                step("Built before: nothing to do.")
                return record.built
            }
            return try await self.places.enter("", onWait: { step("Waiting for other builds.") }) {
                try BuildRoom.check(self.settings.state, needs: self.settings.room)
                let run = BuildRun(factory: self, plan: plan, base: base, builder: builder, step: step)
                let built = try await run.image()
                // The image has its own copy; an hour is for a second build of the same folder.
                _ = try? await self.uploads.remove(olderThan: .seconds(3_600))
                try await Disk.work {
                    try BuildRecord(built: built, made: time(nil), isPinned: plan.isPinned).write(key, in: store)
                }
                return built
            }
        }
    }
}

/// A source, checked.
struct BuildPlan: Sendable {
    enum Content: Sendable, Equatable {
        case package(Requirement)
        case upload(digest: String, requirements: Bool)
    }

    var content: Content
    var constraints: [Requirement]
    var command: [String]?
    var arguments: [String]

    init(_ source: ImageSource) throws(ImageBuildFailure) {
        switch (source.pypi, source.upload) {
        case (let spec?, nil):
            content = .package(try Requirement(spec))
        case (nil, let digest?):
            guard Identifier.hex(ofDigest: digest) != nil else {
                throw ImageBuildFailure(
                    error: "bad_source", message: "\(digest.prefix(100)) is no digest of an upload.", hint: "It is written sha256: and 64 hex digits."
                )
            }
            content = .upload(digest: digest, requirements: source.requirements ?? false)
        default:
            throw ImageBuildFailure(
                error: "bad_source", message: "A source is either a package or an uploaded folder.", hint: "Give one of pypi and upload.")
        }
        var constraints: [Requirement] = []
        for text in source.constraints ?? [] { constraints.append(try Requirement(text)) }
        self.constraints = constraints
        command = source.command.flatMap { $0.isEmpty ? nil : $0 }
        arguments = source.arguments ?? []
    }

    /// The package asked for.
    var package: String? {
        if case .package(let requirement) = content { requirement.name } else { nil }
    }

    var isPinned: Bool {
        switch content {
        case .package(let requirement): requirement.isPinned
        case .upload(_, let requirements): !requirements
        }
    }
}
