--- Which worker a tenant has for itself.
return { acme = 1, globex = 3 }
