import MachineAPI

extension ImageFactory {
    /// Node and npm, and where packages come from.
    private func nodePart(
        _ base: SharedPart, _ step: @escaping @Sendable (String) -> Void
    ) async throws -> (part: SharedPart, registry: IndexConfiguration) {
        let (set, layer) = (settings.npmRegistry, store.layerPath(base.layer.hex))
        let part = try await shared("node", key: try parts.nodeKey(registry: set?.url), step) { tree, scratch in
            try await self.parts.makeNode(tree, scratch, layer, step)
        }
        if let set { return (part, set) }
        return (part, try IndexConfiguration(url: part.facts["registry"] ?? ""))
    }

    /// An image of a package of the npm registry.
    func node(
        _ source: ImageSource, anew: Bool, _ gate: ReleaseGate, _ step: @escaping @Sendable (String) -> Void
    ) async throws -> BuiltImage {
        let spec = try NpmSpec(source.npm ?? "")
        let base = try await readyBase(step)
        let (node, registry) = try await nodePart(base, step)
        var inputs = BuildInputs(source: source, base: base.layer.hex, builder: "", index: registry.url)
        inputs.node = node.layer.hex
        let work = NodeWork(factory: self, step: step, spec: spec, source: source, base: base, node: node, registry: registry, gate: gate)
        return try await recorded(try inputs.key(), isPinned: spec.isPinned, anew: anew, step) { try await work.image() }
    }
}
