import Glibc
import MachineAPI
import Sealing

/// The bill of materials of an image.
///
/// It is read off the image's own layers when somebody asks: they are what a machine sees, they never change, and images that
/// were made before bills were told have one too. Nothing that a build machine says about them is taken for it, and what lies in
/// them is read as strangers' text. The same image gives the same bytes: no time, no host, no version of ours is in it.
enum ImageBill {
    /// Of all layers together: whoever wrote an image decides how much it lists.
    static let mostComponents = 20_000

    static func of(_ image: StoredImage, facts: ImageFacts?, in store: String) throws -> [UInt8] {
        var parts: [String: BillOfMaterials.Component] = [:]
        // Everything in it is in a list: nothing of a folder, a program or a stranger's image, which tell what they want to.
        var isListed = image.directory != PythonLayer.folder
        var isLocked = false
        for hex in image.layers {
            let survey = LayerSurvey(store + "/layers/" + hex)
            isListed = isListed && survey.isWhole
            isLocked = isLocked || survey.isLocked
            if hex == NodePin.current.layer { Self.add(node(NodePin.current), to: &parts) }
            for component in survey.components where parts.count < mostComponents { Self.add(component, to: &parts) }
            isListed = isListed && parts.count < mostComponents
        }
        if let program = try program(image, store) { Self.add(program, to: &parts) }
        let origin = facts.flatMap(Self.origin)
        if let origin { Self.add(origin, to: &parts) }
        let components = parts.values.sorted { ($0.ref ?? "") < ($1.ref ?? "") }
        let bill = BillOfMaterials(
            serialNumber: try serial(image.digest), metadata: .init(component: Self.component(image)), components: components,
            dependencies: [.init(ref: image.digest, dependsOn: components.compactMap(\.ref))],
            compositions: [.init(aggregate: isListed && isLocked && origin == nil ? "complete" : "unknown", assemblies: [image.digest])])
        return try CanonicalJSON.encode(bill) + [UInt8(ascii: "\n")]
    }

    /// What two places tell of one package is told once.
    private static func add(_ component: BillOfMaterials.Component, to parts: inout [String: BillOfMaterials.Component]) {
        guard let ref = component.ref else { return }
        guard var known = parts[ref] else {
            parts[ref] = component
            return
        }
        known.hashes = known.hashes ?? component.hashes
        known.licenses = known.licenses ?? component.licenses
        known.externalReferences = known.externalReferences ?? component.externalReferences
        parts[ref] = known
    }

    private static func component(_ image: StoredImage) -> BillOfMaterials.Component {
        var component = BillOfMaterials.Component(type: .container, ref: image.digest, name: "image", version: image.digest)
        component.hashes = BillOfMaterials.Hash(.sha256, image.digest.dropFirst(7)).map { [$0] }
        component.properties = [.init(name: "berth:command", value: image.command.first ?? "")]
        component.components = zip(image.layers, image.sizes).map { hex, size in
            var layer = BillOfMaterials.Component(type: .file, ref: "layer:sha256:" + hex, name: "layer", version: "sha256:" + hex)
            layer.hashes = BillOfMaterials.Hash(.sha256, hex).map { [$0] }
            layer.properties = [.init(name: "berth:bytes", value: "\(size)")]
            return layer
        }
        return component
    }

    /// The file that the image starts, where it is a program and not an interpreter of a package.
    private static func program(_ image: StoredImage, _ store: String) throws -> BillOfMaterials.Component? {
        guard let path = image.command.first, path.hasPrefix("/") else { return nil }
        for hex in image.layers.reversed() {
            guard let file = RootTree(store + "/layers/" + hex).open(path).map({ Descriptor($0) }) else { continue }
            var component = BillOfMaterials.Component(
                type: .application, ref: "file:" + path, name: String(path.split(separator: "/").last ?? ""))
            component.hashes = BillOfMaterials.Hash(.sha256, try FileDigest.hex(of: file.value, path)).map { [$0] }
            component.properties = [.init(name: "berth:path", value: path)]
            return component
        }
        return nil
    }

    /// Of an OCI image what it was made of, by the digest that it has where it comes from.
    private static func origin(_ facts: ImageFacts) -> BillOfMaterials.Component? {
        guard facts.source.oci != nil || facts.source.layout != nil, let text = facts.packages.first else { return nil }
        let parts = text.split(separator: "@").map(String.init)
        guard let digest = parts.last, let hex = Identifier.hex(ofDigest: digest) else { return nil }
        var component = BillOfMaterials.Component(
            type: .container, ref: "origin:" + text, name: parts.count == 2 ? parts[0] : "OCI image", version: digest)
        component.hashes = BillOfMaterials.Hash(.sha256, hex).map { [$0] }
        if parts.count == 2 { component.purl = PackageURL.oci(parts[0], digest: digest) }
        return component
    }

    /// Whoever changes the pin keeps what is said of the layer before: an image's bill stays as it is.
    private static func node(_ pin: NodePin) -> BillOfMaterials.Component {
        let purl = PackageURL.pypi(pin.project, pin.version)
        var component = BillOfMaterials.Component(type: .application, ref: purl, name: "node", version: pin.version)
        component.purl = purl
        component.hashes = BillOfMaterials.Hash(.sha256, pin.sha256).map { [$0] }
        return component
    }

    /// A UUID of version 8 (a custom one) of the image's digest.
    private static func serial(_ digest: String) throws -> String {
        var hex = Array(digest.dropFirst(7).utf8.prefix(32))
        guard hex.count == 32 else { throw Disk.failure("name", digest, EINVAL) }
        hex[12] = UInt8(ascii: "8")
        hex[16] = UInt8(ascii: "8")
        let text = String(decoding: hex, as: UTF8.self)
        var parts: [Substring] = []
        var rest = text[...]
        for length in [8, 4, 4, 4, 12] {
            parts.append(rest.prefix(length))
            rest = rest.dropFirst(length)
        }
        return "urn:uuid:" + parts.joined(separator: "-")
    }
}
