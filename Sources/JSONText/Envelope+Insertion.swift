extension Envelope {
    /// The envelope of the same text with `count` bytes inserted at `offset`, where they are members of an object: values after it have
    /// moved, and those around it have grown.
    public func inserting(_ count: Int, at offset: Int) -> Envelope {
        func moved(_ span: JSONSpan?) -> JSONSpan? {
            guard let span, span.end > offset else { return span }
            return JSONSpan(start: span.start < offset ? span.start : span.start + count, end: span.end + count)
        }
        var envelope = self
        envelope.id = moved(id)
        envelope.methodSpan = moved(methodSpan)
        envelope.params = moved(params)
        envelope.result = moved(result)
        envelope.error = moved(error)
        envelope.nameSpan = moved(nameSpan)
        envelope.uriSpan = moved(uriSpan)
        envelope.arguments = moved(arguments)
        envelope.meta = moved(meta)
        envelope.clientCapabilities = moved(clientCapabilities)
        envelope.clientInfo = moved(clientInfo)
        envelope.progressToken = moved(progressToken)
        envelope.traceparent = moved(traceparent)
        envelope.subscriptionID = moved(subscriptionID)
        envelope.requestState = moved(requestState)
        envelope.inputResponses = moved(inputResponses)
        envelope.notifications = moved(notifications)
        envelope.requestID = moved(requestID)
        envelope.notificationProgressToken = moved(notificationProgressToken)
        envelope.initializeCapabilities = moved(initializeCapabilities)
        envelope.initializeClientInfo = moved(initializeClientInfo)
        return envelope
    }
}
