// The page's policy allows no inline script, hence this file.
SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  // Unset, it would send the document to a validator on the internet.
  validatorUrl: null,
});
