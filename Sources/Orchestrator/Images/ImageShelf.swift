import MachineAPI

/// The images of a host as people look at them: what each is, who needs it, what is in it, what could go.
struct ImageShelf: Sendable {
    let images: ImageStore
    let machines: MachineStore
    /// A bill of a stranger's image may take much memory: one at a time.
    private let bills = Turnstile(width: 1)

    init(images: ImageStore, machines: MachineStore) {
        self.images = images
        self.machines = machines
    }

    /// Fewer digits name nothing: a slip of the hand must not be an image.
    static let fewestDigits = 6

    // MARK: Looking

    func list() async throws -> [ImageReport] {
        let stored = try await images.list()
        let uses = Dictionary(grouping: try await machines.imageUses(), by: \.image)
        let directory = images.directory
        return try await Disk.work {
            let layers = LayerOwners(stored, in: directory)
            return stored.map { image in
                let hex = String(image.digest.dropFirst(7))
                return ImageReport(image, layers, ImageFacts.read(hex, in: directory), uses[image.digest] ?? [])
            }.sorted { ($0.built_at ?? "", $0.digest) > ($1.built_at ?? "", $1.digest) }
        }
    }

    func report(_ reference: String) async throws -> ImageReport {
        let digest = try await find(reference)
        guard let report = try await list().first(where: { $0.digest == digest }) else { throw Self.unknown(reference) }
        return report
    }

    /// The lock that its packages were installed by, as it lies in the image.
    func lock(_ reference: String) async throws -> [UInt8] {
        let stored = try await stored(reference)
        let directory = images.directory
        let found = try await Disk.work {
            stored.layers.lazy.compactMap { hex -> [UInt8]? in
                // Links of a foreign image lead nowhere but into its own tree.
                let tree = RootTree(directory + "/layers/" + hex)
                func read(_ path: String, limit: Int) -> [UInt8]? {
                    guard let file = tree.open(path).map({ Descriptor($0) }), let bytes = Files.bytes(of: file.value, upTo: limit + 1) else { return nil }
                    return bytes.count <= limit ? bytes : nil
                }
                return read(PythonParts.lock, limit: 4 << 20) ?? read(NpmParts.lock, limit: NpmLock.limit)
            }.first
        }
        guard let found else {
            throw MachineFailure(.notFound, "no_lock", "the image \(stored.digest.prefix(19)) has no lock", hint: "images of PyPI and npm packages have one")
        }
        return found
    }

    /// Its bill of materials: CycloneDX 1.6, JSON.
    func bill(_ reference: String) async throws -> [UInt8] {
        let stored = try await stored(reference)
        let directory = images.directory
        return try await bills.enter("bill") {
            try await Disk.work {
                try ImageBill.of(stored, facts: ImageFacts.read(String(stored.digest.dropFirst(7)), in: directory), in: directory)
            }
        }
    }

    // MARK: Collecting

    /// Removes what nobody needs, or tells what would be removed.
    func collect(isTrial: Bool) async throws -> CollectionReport {
        let before = try await list()
        let keeping = try await machines.imagesInUse()
        let plan = try await images.collectable(keeping: keeping)
        let sizes = Dictionary(before.flatMap { $0.layers.map { ($0.digest, $0.bytes) } }, uniquingKeysWith: { first, _ in first })
        var report = CollectionReport(
            dry_run: isTrial, removed: before.filter { image in plan.images.contains { "sha256:" + $0 == image.digest } },
            kept: before.filter { image in !plan.images.contains { "sha256:" + $0 == image.digest } }, layers: plan.layers.count,
            bytes: plan.layers.reduce(0) { $0 + (sizes["sha256:" + $1] ?? 0) })
        for index in report.kept.indices where report.kept[index].uses.isEmpty { report.kept[index].kept = "young" }
        guard !isTrial else { return report }
        let collected = try await images.collect(keeping: keeping)
        // Somebody may have taken one up in between, or left one.
        if collected.images != report.removed.count || collected.layers != report.layers {
            let now = Set(try await list().map(\.digest))
            report.removed = report.removed.filter { !now.contains($0.digest) }
            report.kept = before.filter { now.contains($0.digest) }
            report.layers = collected.layers
        }
        return report
    }

    // MARK: Names

    private func stored(_ reference: String) async throws -> StoredImage {
        guard let stored = try await images.image(try await find(reference)) else { throw Self.unknown(reference) }
        return stored
    }

    private func find(_ reference: String) async throws -> String {
        try Self.choose(reference, among: try await images.list().map(\.digest))
    }

    /// A digest by its first digits, with `sha256:` before them or without.
    static func choose(_ reference: String, among digests: [String]) throws(MachineFailure) -> String {
        let digits = reference.hasPrefix("sha256:") ? reference.dropFirst(7) : reference[...]
        guard digits.utf8.count <= 64, Identifier.isHex(digits), digits.utf8.count >= fewestDigits else {
            throw MachineFailure(
                .badRequest, "invalid", "\(reference.prefix(80)) is no digest of an image", field: "image",
                hint: "give \(fewestDigits) digits of it or more; berth image list shows them")
        }
        let found = digests.filter { $0.dropFirst(7).hasPrefix(digits) }
        guard let digest = found.first else { throw unknown(reference) }
        guard found.count == 1 else {
            throw MachineFailure(
                .conflict, "ambiguous", "\(found.count) images' digests begin with \(digits)", field: "image",
                hint: "give more digits: " + found.prefix(5).map { String($0.dropFirst(7).prefix(20)) }.joined(separator: ", "))
        }
        return digest
    }

    private static func unknown(_ reference: String) -> MachineFailure {
        MachineFailure(.notFound, "not_found", "there is no image \(reference.prefix(80))", field: "image", hint: "berth image list")
    }
}
